#include "cluster/shared_deployments.hpp"

#include "base/digest.hpp"
#include "base/log.hpp"
#include "base/uuid.hpp"
#include "cluster/index_words.hpp"
#include "cluster/peer_link.hpp"
#include "cluster/script_prelude.hpp"
#include "cluster/signed_text.hpp"
#include "programs/bundle.hpp"

#include <algorithm>
#include <utility>

namespace sandboxd::cluster {

namespace asio = boost::asio;
using kind = reply::kind;
using faas::deployment_file;
using faas::listing;
using faas::manifest;

namespace {

constexpr const char* shared_deployments_name = "sandboxd_cluster_deployments_total";
constexpr const char* shared_deployments_help =
    "What was done with deployments that servers share (cluster.redis), by what came of it.";

constexpr std::size_t deployments_a_page = 64;
// Variables; a request's body is bounded before.
constexpr std::size_t largest_variables = 8u << 20;

// Who the servers are to each other in Redis: for all deployments the same.
constexpr std::string_view about_servers = "deployments' server";

// KEYS: the deployment, its lease, all, its owner's, its sandbox. ARGV: id, about, owner, bytes, sandbox, revision,
// made, server, time, how many there may be, content. 0: there are too many.
const std::string keep_deployment =
    "if redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[10]) then return 0 end "
    "redis.call('HSET', KEYS[1], 'about', ARGV[2], 'owner', ARGV[3], 'bytes', ARGV[4], 'sandbox', ARGV[5], "
    "  'revision', ARGV[6], 'content:' .. ARGV[6], ARGV[11]) "
    "redis.call('ZADD', KEYS[3], ARGV[7], ARGV[1]) redis.call('ZADD', KEYS[4], ARGV[7], ARGV[1]) "
    "redis.call('SET', KEYS[5], ARGV[1]) "
    "redis.call('SET', KEYS[2], ARGV[8], 'PX', ARGV[9]) "
    "return 1";

// KEYS: the deployment, its lease, who wants it. ARGV: server, time, how the words of servers with this address end.
// Nothing: there is no such deployment. Else about, and who has the lease now. Whoever had it at this address is dead:
// it cannot be at two servers.
const std::string claim_deployment =
    "local about = redis.call('HGET', KEYS[1], 'about') "
    "if not about then return false end "
    "local server = redis.call('GET', KEYS[2]) "
    "if not server or server == ARGV[1] or string.sub(server, -#ARGV[3]) == ARGV[3] then "
    "  server = ARGV[1] redis.call('SET', KEYS[2], server, 'PX', ARGV[2]) redis.call('DEL', KEYS[3]) end "
    "return {about, server}";

// KEYS: the deployment, its lease, that it is gone, who wants it. ARGV: server, time, status, starts, restarts.
// 1: mine, 0: another's, 3: not known, 4: wanted, and given back; a text: that it is gone.
const std::string renew_deployment =
    "if redis.call('EXISTS', KEYS[1]) == 0 then return redis.call('GET', KEYS[3]) or 3 end "
    "local server = redis.call('GET', KEYS[2]) "
    "if server and server ~= ARGV[1] then return 0 end "
    "if redis.call('EXISTS', KEYS[4]) == 1 then redis.call('DEL', KEYS[4]) redis.call('DEL', KEYS[2]) return 4 end "
    "redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2]) "
    "redis.call('HSET', KEYS[1], 'status', ARGV[3], 'starts', ARGV[4], 'restarts', ARGV[5]) "
    "return 1";

// KEYS: its lease. ARGV: server.
const std::string give_deployment_back =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

// KEYS: the deployment, its seats. ARGV: server, revision, how many there may be, time, how the words of servers with
// this address end. 1: taken, 0: there are as many, 2: there is no such deployment, 3: another revision is the newest.
// Whoever had one at this address is dead.
const std::string take_deployment_seat = script_prelude +
                                         "local newest = redis.call('HGET', KEYS[1], 'revision') "
                                         "if not newest then return 2 end "
                                         "if newest ~= ARGV[2] then return 3 end "
                                         "sweep(KEYS[2]) "
                                         "for _, one in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do "
                                         "  if string.sub(one, -#ARGV[5]) == ARGV[5] then "
                                         "    redis.call('ZREM', KEYS[2], one) end end "
                                         "if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[3]) then return 0 end "
                                         "put(KEYS[2], now + tonumber(ARGV[4]), ARGV[1], ARGV[4]) "
                                         "return 1";

// KEYS: the deployment, its seats, that it is gone, its lease, who wants it. ARGV: server, revision, time, 1: it takes
// the lease, too. 1: mine, 0: not any more, 3: another revision is the newest, 4: the lease is mine instead, maybe
// since an answer that was lost; a text: that the deployment is gone.
const std::string renew_deployment_seat =
    script_prelude +
    "local newest = redis.call('HGET', KEYS[1], 'revision') "
    "if not newest then return redis.call('GET', KEYS[3]) or 0 end "
    "sweep(KEYS[2]) "
    "local had = redis.call('ZREM', KEYS[2], ARGV[1]) "
    "if newest ~= ARGV[2] then return 3 end "
    "if had == 0 then if redis.call('GET', KEYS[4]) == ARGV[1] then return 4 end return 0 end "
    "if ARGV[4] == '1' and redis.call('EXISTS', KEYS[4]) == 0 then "
    "  redis.call('SET', KEYS[4], ARGV[1], 'PX', ARGV[3]) redis.call('DEL', KEYS[5]) return 4 end "
    "put(KEYS[2], now + tonumber(ARGV[3]), ARGV[1], ARGV[3]) "
    "return 1";

// KEYS: its seats. ARGV: server.
const std::string give_deployment_seat_back = "return redis.call('ZREM', KEYS[1], ARGV[1])";

// KEYS: the deployment, its lease. ARGV: server, time, the revision before, about, bytes, revision, content, the
// revision that is forgotten. 0: it is another one, or another's.
const std::string commit_deployment =
    "if redis.call('HGET', KEYS[1], 'revision') ~= ARGV[3] then return 0 end "
    "local server = redis.call('GET', KEYS[2]) "
    "if server and server ~= ARGV[1] then return 0 end "
    "redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2]) "
    "redis.call('HSET', KEYS[1], 'about', ARGV[4], 'bytes', ARGV[5], 'revision', ARGV[6], "
    "  'content:' .. ARGV[6], ARGV[7]) "
    "redis.call('HDEL', KEYS[1], 'content:' .. ARGV[8]) "
    "return 1";

// KEYS: the deployment, that it is gone. ARGV: revision. 1: it is known, of this revision or a later one; a text: that
// it is gone; 0: neither.
const std::string ask_for_deployment =
    "local gone = redis.call('GET', KEYS[2]) if gone then return gone end "
    "local there = redis.call('HGET', KEYS[1], 'revision') "
    "if there and (tonumber(there) or 0) >= tonumber(ARGV[1]) then return 1 end "
    "return 0";

// KEYS: the deployment, its lease, all, its owner's, its sandbox, that it is gone. ARGV: id, about, owner, bytes,
// sandbox, revision, made, server or nothing, time, content. As above; 0: it was told.
const std::string offer_deployment =
    "local gone = redis.call('GET', KEYS[6]) if gone then return gone end "
    "local there = redis.call('HGET', KEYS[1], 'revision') "
    "if there and (tonumber(there) or 0) >= tonumber(ARGV[6]) then return 1 end "
    "redis.call('HSET', KEYS[1], 'about', ARGV[2], 'owner', ARGV[3], 'bytes', ARGV[4], 'sandbox', ARGV[5], "
    "  'revision', ARGV[6], 'content:' .. ARGV[6], ARGV[10]) "
    "redis.call('ZADD', KEYS[3], ARGV[7], ARGV[1]) redis.call('ZADD', KEYS[4], ARGV[7], ARGV[1]) "
    "redis.call('SET', KEYS[5], ARGV[1]) "
    "if ARGV[8] ~= '' then redis.call('SET', KEYS[2], ARGV[8], 'NX', 'PX', ARGV[9]) end "
    "return 0";

// KEYS: the deployment, its lease, all, that it is gone, its seats. ARGV: id, how an owner's set begins, how a
// sandbox's key begins, how long it is known that it is gone, and that it is. 0: it was not there.
const std::string forget_deployment =
    "local owner = redis.call('HGET', KEYS[1], 'owner') "
    "local sandbox = redis.call('HGET', KEYS[1], 'sandbox') "
    "redis.call('ZREM', KEYS[3], ARGV[1]) "
    "if owner then redis.call('ZREM', ARGV[2] .. owner, ARGV[1]) end "
    "if sandbox then redis.call('DEL', ARGV[3] .. sandbox) end "
    "redis.call('DEL', KEYS[2]) redis.call('DEL', KEYS[5]) "
    "local was = redis.call('DEL', KEYS[1]) "
    "if was == 1 then redis.call('SET', KEYS[4], ARGV[5], 'PX', ARGV[4]) end "
    "return was";

// KEYS: a set. ARGV: how a deployment's key begins, how its lease's, the first, the last, after how many bytes no
// further one, how its seats' begins. How many the set has, and of each: id, about, bytes, status, starts, restarts,
// server, how many seats.
const std::string list_deployments =
    script_prelude +
    "local found = {} local bytes = 0 "
    "for _, id in ipairs(redis.call('ZRANGE', KEYS[1], ARGV[3], ARGV[4])) do "
    "  if bytes >= tonumber(ARGV[5]) then break end "
    "  local one = redis.call('HMGET', ARGV[1] .. id, 'about', 'bytes', 'status', 'starts', 'restarts') "
    "  local server = redis.call('GET', ARGV[2] .. id) or '' "
    "  sweep(ARGV[6] .. id) "
    "  bytes = bytes + #id + #(one[1] or '') + #server + 256 "
    "  found[#found + 1] = {id, one[1] or '', one[2] or '', one[3] or '', one[4] or '', one[5] or '', server, "
    "    redis.call('ZCARD', ARGV[6] .. id)} end "
    "return {redis.call('ZCARD', KEYS[1]), found}";

// The same of one. KEYS: the deployment, its lease, its seats.
const std::string look_at_deployment =
    script_prelude +
    "local one = redis.call('HMGET', KEYS[1], 'about', 'bytes', 'status', 'starts', 'restarts') "
    "if not one[1] then return false end "
    "sweep(KEYS[3]) "
    "return {one[1], one[2] or '', one[3] or '', one[4] or '', one[5] or '', redis.call('GET', KEYS[2]) or '', "
    "  redis.call('ZCARD', KEYS[3])}";

// KEYS: an owner's set. ARGV: how a deployment's key begins. How many, and their bytes.
const std::string sum_of_deployments =
    "local sum = 0 local all = redis.call('ZRANGE', KEYS[1], 0, -1) "
    "for _, id in ipairs(all) do "
    "  sum = sum + (tonumber(redis.call('HGET', ARGV[1] .. id, 'bytes') or '0') or 0) end "
    "return {string.format('%.0f', #all), string.format('%.0f', sum)}";

constexpr std::string_view hash_kind = "deployment:";
constexpr std::string_view lease_kind = "deployment-server:";
constexpr std::string_view wanted_kind = "deployment-wanted:";
constexpr std::string_view seats_kind = "deployment-seats:";
constexpr std::string_view gone_kind = "deployment-gone:";
constexpr std::string_view sandbox_kind = "deployment-of:";
constexpr std::string_view owners_kind = "deployments-of:";
constexpr std::string_view all_kind = "deployments";

// `content` is new for each attempt to keep a revision: of two servers that both try, neither writes over the other.
std::string deployment_blob(std::string_view id, std::uint64_t revision, std::string_view content)
{
    return "deployment " + std::string{id} + " " + std::to_string(revision) + " " + std::string{content};
}

std::string deployment_words(std::string_view id) { return "deployment's info " + std::string{id}; }
std::string gone_words(std::string_view id) { return "deployment gone " + std::string{id}; }

std::string in_ms(std::chrono::milliseconds time) { return std::to_string(time.count()); }

std::uint64_t count_in(std::string_view text)
{
    return static_cast<std::uint64_t>(std::max<std::int64_t>(number_of(text).value_or(0), 0));
}

faas::status status_in(std::string_view text)
{
    for (int i = 0; i < static_cast<int>(faas::status::deleting); ++i)
        if (faas::name(static_cast<faas::status>(i)) == text) return static_cast<faas::status>(i);
    return faas::status::starting;  // it has said nothing yet
}

}  // namespace

shared_deployments::shared_deployments(redis_client& redis, remote::blob_store& blobs, shared_deployments_settings how,
                                       const std::string& address, metrics::registry& metrics)
    : redis_{redis},
      blobs_{blobs},
      settings_{std::move(how)},
      here_{" " + address},
      me_{write_signed(blobs.key(), about_servers, new_uuid() + here_)},
      metrics_{metrics}
{
}

void shared_deployments::count(std::string_view what, std::string_view came_of_it)
{
    metrics_
        .add_counter(shared_deployments_name, shared_deployments_help,
                     "what=\"" + std::string{what} + "\",result=\"" + std::string{came_of_it} + "\"")
        .add();
}

result<void> shared_deployments::counted(std::string_view what, result<void> done)
{
    count(what, done ? std::string_view{"done"} : name(done.error().code));
    return done;
}

std::string shared_deployments::about(manifest what) const
{
    what.env.clear();
    return write_signed(blobs_.key(), deployment_words(what.id), faas::to_text(what));
}

std::optional<manifest> shared_deployments::read_about(const std::string& id, const reply& from)
{
    const auto text = from.is == kind::text ? read_signed(blobs_.key(), deployment_words(id), from.text) : std::nullopt;
    auto made = text ? faas::manifest_from(*text) : result<manifest>{make_error(errc::forbidden)};
    if (made && made->id == id && made->revision > 0) return std::move(*made);
    count("read", "refused");
    if (warns_of_deployments_.again())
        log::warning("Redis has a deployment that no server of this fleet has written", {{"id", id}});
    return std::nullopt;
}

std::optional<std::string> shared_deployments::read_server(const std::string& id, const reply& from)
{
    if (from.text.empty() || from.text == me_) return std::string{};
    const auto text = read_signed(blobs_.key(), about_servers, from.text);
    const auto blank = text ? text->find(' ') : std::string_view::npos;
    if (blank != std::string_view::npos && parse_peer_address(text->substr(blank + 1)))
        return text->substr(blank) == here_ ? std::string{} : std::string{text->substr(blank + 1)};
    count("read", "refused");
    if (warns_of_servers_.again())
        log::warning("Redis has a deployment run by a server that is none of this fleet", {{"id", id}});
    return std::nullopt;
}

bool shared_deployments::is_gone(const std::string& id, const reply& from)
{
    if (read_signed(blobs_.key(), gone_words(id), from.text)) return true;
    count("read", "refused");
    if (warns_of_deletions_.again())
        log::warning(
            "Redis says that a deployment was deleted, but no server of this fleet has written that; remove the key",
            {{"key", key(gone_kind, id)}});
    return false;
}

std::optional<listing> shared_deployments::read_listing(const std::string& id, const reply* fields)
{
    auto what = read_about(id, fields[0]);
    if (!what) return std::nullopt;
    listing made{.what = std::move(*what),
                 .bytes = count_in(fields[1].text),
                 .server = read_server(id, fields[5]).value_or(std::string{})};
    // They are nobody's word: whoever writes to Redis can change them.
    made.state = {status_in(fields[2].text), count_in(fields[3].text), count_in(fields[4].text)};
    made.seats = static_cast<std::size_t>(std::max<std::int64_t>(fields[6].number, 0));
    return made;
}

asio::awaitable<result<shared_deployments::stored>> shared_deployments::put(manifest what,
                                                                            std::vector<deployment_file> files)
{
    if (!redis_.is_connected()) co_return index_error(make_error(errc::unavailable));
    stored made{.content = random_hex(16)};
    for (const auto& one : files) made.bytes += one.content.size();
    auto text = faas::to_text(what);
    if (text.size() > largest_variables)
        co_return error{errc::payload_too_large, "the deployment's variables are too large for other servers"};
    auto packed = programs::pack(text, files);
    files.clear();
    const auto done =
        co_await blobs_.put(deployment_blob(what.id, what.revision, made.content), std::move(packed), true);
    if (!done) co_return cache_error(done.error());
    co_return made;
}

asio::awaitable<result<void>> shared_deployments::keep(manifest what, std::vector<deployment_file> files)
{
    const auto put_there = co_await put(what, std::move(files));
    if (!put_there) co_return counted("create", put_there.error());
    std::vector<std::string> words{"EVAL",
                                   keep_deployment,
                                   "5",
                                   key(hash_kind, what.id),
                                   key(lease_kind, what.id),
                                   key(all_kind, {}),
                                   key(owners_kind, what.owner),
                                   key(sandbox_kind, what.sandbox_id),
                                   what.id,
                                   about(what),
                                   what.owner,
                                   std::to_string(put_there->bytes),
                                   what.sandbox_id,
                                   std::to_string(what.revision),
                                   std::to_string(what.created),
                                   me_,
                                   in_ms(settings_.time),
                                   std::to_string(settings_.most),
                                   put_there->content};
    const auto kept = one_or_zero(co_await redis_.call(std::move(words)));
    co_return counted("create", done_or(kept, {errc::queue_full,
                                               "the servers have as many deployments together as they may "
                                               "(cluster.maxDeployments); delete one"}));
}

asio::awaitable<result<faas::fleet::claimed>> shared_deployments::claim(std::string id)
{
    std::vector<std::string> words{
        "EVAL", claim_deployment,      "3",  key(hash_kind, id), key(lease_kind, id), key(wanted_kind, id),
        me_,    in_ms(settings_.time), here_};
    const auto said = co_await redis_.call(std::move(words));
    if (!said) co_return index_error(said.error());
    if (said->is == kind::nothing) co_return make_error(errc::not_found);
    if (said->is != kind::list || said->list.size() != 2) co_return index_error(odd_index());
    auto what = read_about(id, said->list[0]);
    if (!what) co_return make_error(errc::not_found);
    auto server = read_server(id, said->list[1]);
    if (!server)
        co_return error{errc::index_unavailable,
                        "the index that servers share (cluster.redis) names a server that is none of theirs; ask the "
                        "operator, whose log says more"};
    count("claim", server->empty() ? "here" : "elsewhere");
    co_return claimed{std::move(*server), std::move(*what)};
}

asio::awaitable<result<faas::fleet::held>> shared_deployments::renew(std::string id, faas::told_state state)
{
    std::vector<std::string> words{"EVAL",
                                   renew_deployment,
                                   "4",
                                   key(hash_kind, id),
                                   key(lease_kind, id),
                                   key(gone_kind, id),
                                   key(wanted_kind, id),
                                   me_,
                                   in_ms(settings_.time),
                                   std::string{faas::name(state.status)},
                                   std::to_string(state.starts),
                                   std::to_string(state.restarts)};
    const auto said = co_await redis_.call(std::move(words), true);
    if (!said) {
        count("renew", name(said.error().code));
        co_return index_error(said.error());
    }
    if (said->is == kind::text && is_gone(id, *said)) {
        count("renew", "deleted");
        co_return held::deleted;
    }
    if (said->is == kind::text) co_return held::unknown;
    if (said->is != kind::number) co_return index_error(odd_index());
    switch (said->number) {
        case 1: count("renew", "done"); co_return held::mine;
        case 3: count("renew", "unknown"); co_return held::unknown;
        case 4: count("renew", "wanted"); co_return held::wanted;
        default: break;
    }
    count("renew", "lost");
    co_return held::others;
}

asio::awaitable<void> shared_deployments::ask_for(std::string id)
{
    std::vector<std::string> words{"SET", key(wanted_kind, id), "1", "PX", in_ms(settings_.time)};
    const auto said = co_await redis_.call(std::move(words));
    count("ask_for", said ? std::string_view{"done"} : name(said.error().code));
}

asio::awaitable<void> shared_deployments::give_back(std::string id)
{
    std::vector<std::string> words{"EVAL", give_deployment_back, "1", key(lease_kind, id), me_};
    // If it does not work, the lease ends by itself.
    const auto said = one_or_zero(co_await redis_.call(std::move(words)));
    count("give_back", !said ? name(said.error().code) : *said ? std::string_view{"done"} : "lost");
}

asio::awaitable<result<faas::fleet::seat_taken>> shared_deployments::take_seat(std::string id, std::uint64_t revision,
                                                                               std::int64_t instances)
{
    std::vector<std::string> words{
        "EVAL", take_deployment_seat, "2", key(hash_kind, id), key(seats_kind, id), me_, std::to_string(revision),
        // One of them is the owner.
        std::to_string(std::max<std::int64_t>(instances, 1) - 1), in_ms(settings_.time), here_};
    const auto said = co_await redis_.call(std::move(words));
    if (!said) count("take_seat", name(said.error().code));
    if (!said) co_return index_error(said.error());
    if (said->is != kind::number) co_return index_error(odd_index());
    switch (said->number) {
        case 1: count("take_seat", "done"); co_return seat_taken::here;
        case 2: count("take_seat", "deleted"); co_return seat_taken::deleted;
        case 3: count("take_seat", "revised"); co_return seat_taken::revised;
        default: break;
    }
    count("take_seat", "full");
    co_return seat_taken::full;
}

asio::awaitable<result<faas::fleet::seat_held>> shared_deployments::renew_seat(std::string id, std::uint64_t revision,
                                                                               bool takes_lease)
{
    std::vector<std::string> words{"EVAL",
                                   renew_deployment_seat,
                                   "5",
                                   key(hash_kind, id),
                                   key(seats_kind, id),
                                   key(gone_kind, id),
                                   key(lease_kind, id),
                                   key(wanted_kind, id),
                                   me_,
                                   std::to_string(revision),
                                   in_ms(settings_.time),
                                   takes_lease ? "1" : "0"};
    const auto said = co_await redis_.call(std::move(words), true);
    if (!said) count("renew_seat", name(said.error().code));
    if (!said) co_return index_error(said.error());
    if (said->is == kind::text && is_gone(id, *said)) {
        count("renew_seat", "deleted");
        co_return seat_held::deleted;
    }
    if (said->is != kind::number && said->is != kind::text) co_return index_error(odd_index());
    switch (said->number) {
        case 1: count("renew_seat", "done"); co_return seat_held::mine;
        case 3: count("renew_seat", "revised"); co_return seat_held::revised;
        case 4: count("renew_seat", "owner"); co_return seat_held::owner;
        default: break;
    }
    count("renew_seat", "lost");
    co_return seat_held::lost;
}

asio::awaitable<void> shared_deployments::give_seat_back(std::string id)
{
    std::vector<std::string> words{"EVAL", give_deployment_seat_back, "1", key(seats_kind, id), me_};
    // If it does not work, the seat ends by itself.
    const auto said = one_or_zero(co_await redis_.call(std::move(words)));
    count("give_seat_back", !said ? name(said.error().code) : *said ? std::string_view{"done"} : "lost");
}

asio::awaitable<result<listing>> shared_deployments::look(std::string id)
{
    std::vector<std::string> words{
        "EVAL", look_at_deployment, "3", key(hash_kind, id), key(lease_kind, id), key(seats_kind, id)};
    const auto said = co_await redis_.call(std::move(words));
    if (!said) co_return index_error(said.error());
    if (said->is == kind::nothing) co_return make_error(errc::not_found);
    if (said->is != kind::list || said->list.size() != 7) co_return index_error(odd_index());
    auto made = read_listing(id, said->list.data());
    if (!made) co_return make_error(errc::not_found);
    co_return std::move(*made);
}

asio::awaitable<result<std::vector<listing>>> shared_deployments::list(std::optional<std::string> owner)
{
    std::vector<listing> all;
    const auto set = owner ? key(owners_kind, *owner) : key(all_kind, {});
    // Others may come and go between two pages.
    for (std::size_t first = 0, there = 1; first < std::min(there, settings_.most);) {
        std::vector<std::string> words{"EVAL",
                                       list_deployments,
                                       "1",
                                       set,
                                       key(hash_kind, {}),
                                       key(lease_kind, {}),
                                       std::to_string(first),
                                       std::to_string(first + deployments_a_page - 1),
                                       std::to_string(settings_.page_bytes),
                                       key(seats_kind, {})};
        const auto said = co_await redis_.call(std::move(words));
        if (!said) co_return index_error(said.error());
        const auto* const page = page_of(*said, deployments_a_page, there);
        if (!page) co_return index_error(odd_index());
        for (const auto& one : *page) {
            if (one.is != kind::list || one.list.size() != 8) co_return index_error(odd_index());
            const auto& id = one.list[0].text;
            if (!is_uuid(id) || one.list[1].text.empty()) continue;
            auto made = read_listing(id, &one.list[1]);
            const bool is_new =
                std::ranges::find_if(all, [&id](const auto& seen) { return seen.what.id == id; }) == all.end();
            if (made && is_new && (!owner || made->what.owner == *owner)) all.push_back(std::move(*made));
        }
        if (page->empty()) break;
        first += page->size();
    }
    co_return all;
}

asio::awaitable<result<std::string>> shared_deployments::by_sandbox(std::string sandbox_id)
{
    std::vector<std::string> words{"GET", key(sandbox_kind, sandbox_id)};
    const auto said = co_await redis_.call(std::move(words));
    if (!said) co_return index_error(said.error());
    if (said->is == kind::nothing) co_return make_error(errc::not_found);
    if (said->is != kind::text || !is_uuid(said->text)) co_return index_error(odd_index());
    // Only what is signed says that it is this sandbox's.
    const auto seen = co_await look(said->text);
    if (!seen) co_return seen.error();
    if (seen->what.sandbox_id != sandbox_id) co_return make_error(errc::not_found);
    co_return seen->what.id;
}

asio::awaitable<result<faas::fleet::holding>> shared_deployments::held_by(std::string owner)
{
    std::vector<std::string> words{"EVAL", sum_of_deployments, "1", key(owners_kind, owner), key(hash_kind, {})};
    const auto said = co_await redis_.call(std::move(words));
    if (!said) co_return index_error(said.error());
    if (said->is != kind::list || said->list.size() != 2) co_return index_error(odd_index());
    co_return holding{static_cast<std::size_t>(count_in(said->list[0].text)), count_in(said->list[1].text)};
}

asio::awaitable<result<faas::fleet::content>> shared_deployments::fetch(std::string id, std::uint64_t revision)
{
    const auto most =
        programs::packed_size(2 * settings_.files.max_bytes + largest_variables, settings_.files.max_files);
    std::vector<std::string> words{"HGET", key(hash_kind, id), "content:" + std::to_string(revision)};
    const auto said = co_await redis_.call(std::move(words));
    if (!said) co_return index_error(said.error());
    if (said->is != kind::text) co_return make_error(errc::not_found);
    auto bytes = co_await blobs_.get(deployment_blob(id, revision, said->text), most);
    if (!bytes) {
        count("fetch", name(bytes.error().code));
        co_return bytes.error().code == errc::not_found ? bytes.error() : cache_error(bytes.error());
    }
    auto packed = programs::unpack(*bytes, settings_.files.max_files);
    auto what = packed ? faas::manifest_from(packed->about) : result<manifest>{packed.error()};
    // It is signed, so another version of this program has written it, or one with other limits.
    if (!what || what->id != id || what->revision != revision) {
        count("fetch", "refused");
        if (warns_of_files_.again())
            log::warning("a deployment of another server cannot be read",
                         {{"id", id}, {"reason", what ? std::string{"it is another one"} : what.error().message}});
        co_return unprocessable("this server cannot read the deployment that another one has kept; deploy it again");
    }
    count("fetch", "done");
    co_return content{std::move(*what), std::move(packed->files)};
}

asio::awaitable<result<void>> shared_deployments::commit(manifest what, std::vector<deployment_file> files)
{
    const auto put_there = co_await put(what, std::move(files));
    if (!put_there) co_return counted("update", put_there.error());
    std::vector<std::string> words{"EVAL", commit_deployment, "2", key(hash_kind, what.id), key(lease_kind, what.id),
                                   me_, in_ms(settings_.time), std::to_string(what.revision - 1), about(what),
                                   std::to_string(put_there->bytes), std::to_string(what.revision), put_there->content,
                                   // Of the first ones there is none to forget.
                                   std::to_string(what.revision - std::min(what.revision, settings_.revisions))};
    const auto kept = one_or_zero(co_await redis_.call(std::move(words)));
    co_return counted("update",
                      done_or(kept, {errc::conflict,
                                     "another server has changed the deployment, or runs it by now; read it again, "
                                     "and send the change again"}));
}

asio::awaitable<result<faas::fleet::offered>> shared_deployments::offer(manifest what,
                                                                        std::vector<deployment_file> files, bool here)
{
    const auto read = [this, &what](const result<reply>& said) -> result<offered> {
        if (!said) return index_error(said.error());
        if (said->is == kind::text && is_gone(what.id, *said)) return offered::deleted;
        if (said->is != kind::number) return index_error(odd_index());
        return said->number == 1 ? offered::known : offered::taken;
    };
    std::vector<std::string> question{"EVAL",
                                      ask_for_deployment,
                                      "2",
                                      key(hash_kind, what.id),
                                      key(gone_kind, what.id),
                                      std::to_string(what.revision)};
    const auto before = read(co_await redis_.call(std::move(question)));
    if (!before || *before != offered::taken) co_return before;
    const auto put_there = co_await put(what, std::move(files));
    if (!put_there) co_return put_there.error();
    std::vector<std::string> words{"EVAL",
                                   offer_deployment,
                                   "6",
                                   key(hash_kind, what.id),
                                   key(lease_kind, what.id),
                                   key(all_kind, {}),
                                   key(owners_kind, what.owner),
                                   key(sandbox_kind, what.sandbox_id),
                                   key(gone_kind, what.id),
                                   what.id,
                                   about(what),
                                   what.owner,
                                   std::to_string(put_there->bytes),
                                   what.sandbox_id,
                                   std::to_string(what.revision),
                                   std::to_string(what.created),
                                   here ? me_ : std::string{},
                                   in_ms(settings_.time),
                                   put_there->content};
    const auto came = read(co_await redis_.call(std::move(words)));
    count("offer", !came                     ? name(came.error().code)
                   : *came == offered::taken ? std::string_view{"done"}
                   : *came == offered::known ? "known"
                                             : "deleted");
    co_return came;
}

asio::awaitable<result<bool>> shared_deployments::forget(std::string id)
{
    std::vector<std::string> words{"EVAL",
                                   forget_deployment,
                                   "5",
                                   key(hash_kind, id),
                                   key(lease_kind, id),
                                   key(all_kind, {}),
                                   key(gone_kind, id),
                                   key(seats_kind, id),
                                   id,
                                   key(owners_kind, {}),
                                   key(sandbox_kind, {}),
                                   in_ms(settings_.gone),
                                   write_signed(blobs_.key(), gone_words(id), {})};
    const auto said = one_or_zero(co_await redis_.call(std::move(words)));
    count("delete", !said ? name(said.error().code) : *said ? std::string_view{"done"} : "gone");
    if (!said) co_return index_error(said.error());
    co_return *said;
}

}  // namespace sandboxd::cluster
