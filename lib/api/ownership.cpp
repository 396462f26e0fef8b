#include "api/ownership.hpp"

#include "base/log.hpp"

namespace sandboxd::api {

namespace {

constexpr std::size_t digits_of_digest = 16;

}  // namespace

std::string owner_of(const http::exchange& x)
{
    const auto* const who = x.tenant();
    return who ? who->name : std::string{};
}

bool is_theirs(const services& with, const http::exchange& x, std::string_view owner)
{
    if (!with.keys) return true;
    const auto* const who = x.tenant();
    return who && (who->name == owner || who->scopes.has(tenants::scope::admin));
}

std::optional<std::string> only_owner(const services& with, const http::exchange& x)
{
    if (!with.keys) return std::nullopt;
    const auto* const who = x.tenant();
    if (who && who->scopes.has(tenants::scope::admin)) return std::nullopt;
    return owner_of(x);
}

boost::asio::awaitable<result<std::string>> own_sandbox(services& with, const http::exchange& x)
{
    std::string id{x.param(0)};
    if (!with.keys || !with.sandboxes) co_return id;
    const auto owner = co_await with.sandboxes->owner_of(id);
    if (!owner && owner.error().code != errc::not_found) co_return owner.error();
    const bool is_his = owner && is_theirs(with, x, *owner);
    co_return is_his ? id : std::string{};
}

boost::asio::awaitable<result<std::string>> own_deployment(services& with, const http::exchange& x, std::string id)
{
    if (!with.keys || !with.faas) co_return id;
    const auto owner = co_await with.faas->owner_of(id);
    if (!owner && owner.error().code != errc::not_found) co_return owner.error();
    const bool is_his = owner && is_theirs(with, x, *owner);
    co_return is_his ? id : std::string{};
}

void audit(const services& with, const http::exchange& x, std::string_view what, std::string_view id)
{
    if (!with.keys) return;
    log::info("audit: changed", {{"what", what},
                                 {"which", id},
                                 {"tenant", owner_of(x)},
                                 {"id", x.request_id()},
                                 log::in_json("trace_id", x.trace_id())});
}

void audit_key(const services& with, const http::exchange& x, std::string_view what, std::string_view its_name,
               const sha256_digest& digest)
{
    const auto which = std::string{its_name} + " sha256:" + to_hex(digest).substr(0, digits_of_digest);
    audit(with, x, what, which);
}

}  // namespace sandboxd::api
