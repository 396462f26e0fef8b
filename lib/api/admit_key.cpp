#include "api/admit_key.hpp"

#include <iterator>
#include <utility>

namespace sandboxd::api {

using tenants::refusal_of_key;

namespace {

std::string_view view_of(boost::beast::string_view text) noexcept { return {text.data(), text.size()}; }

}  // namespace

std::optional<key_refusal> refuse_scope(const http::exchange& x, tenants::access needed)
{
    const auto* const who = x.tenant();
    const auto lacks = needed.needed();
    if (!who || !lacks || who->scopes.has(*lacks)) return std::nullopt;
    return key_refusal{{errc::insufficient_scope, "the key of '" + who->name + "' lacks the scope '" +
                                                      std::string{tenants::name(*lacks)} +
                                                      "', which this needs; ask the operator for a key with it"},
                       challenge(refusal_of_key::scope, *lacks)};
}

error keys_are_not_known_yet()
{
    return {errc::index_unavailable,
            "this server does not know yet which keys the servers share (cluster.redis); try again in a moment, and if "
            "that does not help, ask the operator: /readyz says what is degraded"};
}

std::shared_ptr<const tenants::tenant> find_tenant(const tenants::key_table& keys, const http::exchange& x)
{
    const auto [first, last] = x.fields().equal_range(http::field::authorization);
    if (first == last || std::next(first) != last) return nullptr;
    const auto given = tenants::read_credentials(view_of(first->value()));
    return given.is == tenants::credentials::kind::bearer ? keys.find(given.key) : nullptr;
}

void identify(const tenants::key_table& keys, http::exchange& x)
{
    if (auto who = find_tenant(keys, x)) x.set_tenant(std::move(who));
}

std::optional<key_refusal> admit_key(const tenants::key_table& keys, http::exchange& x, tenants::access needed)
{
    if (needed.is_open()) return std::nullopt;
    const auto refuse = [&keys](refusal_of_key why, error told) {
        keys.count(why);
        return key_refusal{std::move(told), tenants::challenge(why)};
    };
    // Of two, one reader may take the first and another the last.
    const auto [first, last] = x.fields().equal_range(http::field::authorization);
    const bool comes_twice = first != last && std::next(first) != last;
    const auto given = first == last ? tenants::credentials{} : tenants::read_credentials(view_of(first->value()));
    using kind = tenants::credentials::kind;
    if (comes_twice || given.is == kind::malformed)
        return refuse(refusal_of_key::malformed,
                      invalid_request("Authorization must come once, as 'Bearer' and the key: letters, digits and "
                                      "'-._~+/', and '=' at its end"));
    if (given.is == kind::none) return refuse(refusal_of_key::missing, make_error(errc::unauthorized));
    if (!x.tenant()) x.set_tenant(keys.find(given.key));
    // Nobody gives up a key for a 401 that is good a moment later.
    if (!x.tenant() && !keys.are_fleet_keys_known())
        return refuse(refusal_of_key::not_known_yet, keys_are_not_known_yet());
    if (!x.tenant())
        return refuse(refusal_of_key::unknown,
                      {errc::unauthorized, "this key is unknown or was removed; ask the operator for another one"});
    x.tenant()->account->counted().requests.add();
    auto lacking = refuse_scope(x, needed);
    if (lacking) keys.count(refusal_of_key::scope);
    return lacking;
}

bool has_key_of_ours(const services& with, const http::exchange& x)
{
    if (!with.keys) return false;
    const auto [first, last] = x.fields().equal_range(http::field::authorization);
    if (first == last) return false;
    // Two are nothing that a client means, and a hundred would be a hundred times the work.
    return std::next(first) != last || with.keys->knows_any_in(view_of(first->value()));
}

}  // namespace sandboxd::api
