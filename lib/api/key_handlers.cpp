// Keys that an operator makes, lists and takes away while the servers run.
#include "api/admit_key.hpp"
#include "api/handlers.hpp"
#include "api/key_request.hpp"
#include "api/media_type.hpp"
#include "api/ownership.hpp"
#include "api/reply.hpp"
#include "api/timestamp.hpp"
#include "async/turns.hpp"
#include "base/digest.hpp"
#include "tenants/fleet_keys.hpp"
#include "tenants/key_entry.hpp"
#include "tenants/key_table.hpp"

#include <boost/json/object.hpp>

#include <chrono>
#include <utility>

namespace sandboxd::api {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr std::size_t bytes_of_a_key = 32;
// No name of a tenant begins so.
constexpr std::string_view unreadable = "(unreadable)";

// Nullopt: keys can be made here.
std::optional<error> refuse_making(const services& with)
{
    if (!with.keys)
        return unprocessable(
            "nobody needs a key here, so none is made; write a key with the scope 'keys' into a keys file "
            "(auth.keysFile), and make others with that one");
    if (!with.fleet_keys)
        return unprocessable(
            "keys are made where servers share them: set cluster.redis, and store.remote with store.signingKeyFile; or "
            "write the key into the keys file (auth.keysFile)");
    return std::nullopt;
}

error name_is_taken(const std::string& its_name)
{
    return {errc::conflict, "the keys file (auth.keysFile) has a key of the name '" + its_name +
                                "' already; a name is one tenant's, with one key: take that one out first"};
}

error is_of_the_file(const std::string& its_name)
{
    return {errc::conflict, "the key of '" + its_name +
                                "' is one of the keys file (auth.keysFile), which no server writes; take it out there"};
}

error no_such_key() { return {errc::not_found, "there is no key with this digest"}; }

json::object described_key(const tenants::listed_key& one)
{
    json::object made{{"name", one.what.name},
                      {"sha256", to_hex(one.what.digest)},
                      {"scopes", tenants::to_json(one.what.scopes)},
                      {"limits", tenants::to_json(one.what.limits)},
                      {"from", tenants::name(one.from)}};
    if (one.created) made["created"] = timestamp(*one.created);
    if (!one.by.empty()) made["by"] = one.by;
    return made;
}

// The only answer that has the key.
http::response told_once(const std::string& key, const tenants::fleet_key& made)
{
    return json_reply(201, json::object{{"ok", true},
                                        {"name", made.what.name},
                                        {"key", key},
                                        {"sha256", to_hex(made.what.digest)},
                                        {"scopes", tenants::to_json(made.what.scopes)},
                                        {"limits", tenants::to_json(made.what.limits)},
                                        {"created", timestamp(made.created)},
                                        {"by", made.by}});
}

}  // namespace

asio::awaitable<http::response> post_key(services& with, http::exchange& x)
{
    if (auto refused = refuse_making(with)) co_return error_reply(*refused);
    if (!x.body_done() && !is_json(x[http::field::content_type]))
        co_return error_reply(make_error(errc::unsupported_media_type));
    const auto body = co_await x.read_body(with.max_body_bytes);
    if (!body) co_return error_reply(body.error());
    auto asked = read_key_request(*body, with.json);
    if (!asked) co_return error_reply(asked.error());
    if (with.keys->is_of_file(asked->name)) co_return error_reply(name_is_taken(asked->name));
    const auto key = random_hex(bytes_of_a_key);
    asked->digest = sha256_of(key);
    const tenants::fleet_key made{
        .what = std::move(*asked),
        .created = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now()),
        .by = owner_of(x)};
    if (const auto kept = co_await with.fleet_keys->make(made); !kept) co_return error_reply(kept.error());
    audit_key(with, x, "create key", made.what.name, made.what.digest);
    co_return told_once(key, made);
}

asio::awaitable<http::response> get_keys(services& with, http::exchange&)
{
    if (with.keys && !with.keys->are_fleet_keys_known()) co_return error_reply(keys_are_not_known_yet());
    const auto all = with.keys ? with.keys->list() : std::vector<tenants::listed_key>{};
    std::string told = R"({"keys":)";
    async::turns turn;
    co_await append_json_list(told, all, described_key, turn);
    told.append(R"(,"count":)").append(std::to_string(all.size())) += '}';
    co_return json_reply(200, std::move(told));
}

asio::awaitable<http::response> delete_key(services& with, http::exchange& x)
{
    const auto digest = tenants::read_digest(x.param(0));
    if (!digest || !with.keys) co_return error_reply(no_such_key());
    const auto known = with.keys->look_up(*digest);
    if (known && known->from == tenants::key_source::file) co_return error_reply(is_of_the_file(known->what.name));
    if (!with.fleet_keys) co_return error_reply(no_such_key());
    const auto gone = co_await with.fleet_keys->forget(*digest);
    if (!gone) co_return error_reply(gone.error().code == errc::not_found ? no_such_key() : gone.error());
    audit_key(with, x, "delete key", gone->empty() ? unreadable : std::string_view{*gone}, *digest);
    http::response r;
    r.status = 204;
    co_return r;
}

}  // namespace sandboxd::api
