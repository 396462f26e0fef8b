// Keys of requests, on a server with auth.keysFile.
#pragma once

#include "api/services.hpp"
#include "base/errc.hpp"
#include "http/exchange.hpp"
#include "tenants/key_table.hpp"
#include "tenants/scope.hpp"

#include <memory>
#include <optional>
#include <string>

namespace sandboxd::api {

// Why a request may not go on, and the value of WWW-Authenticate (empty: it is left out).
struct key_refusal {
    error why;
    std::string challenge;
};

// The error while the server has not read the keys in Redis (key_table::are_fleet_keys_known).
error keys_are_not_known_yet();

// Whose key the request has; null: nobody's, or more than one. What is wrong with it is not counted.
std::shared_ptr<const tenants::tenant> find_tenant(const tenants::key_table& keys, const http::exchange& x);

// Finds whose key the request has, for what is decided before its endpoint is known. What is wrong with it is left to
// admit_key, which looks for no key twice.
void identify(const tenants::key_table& keys, http::exchange& x);

// Finds whose key the request has, and whether it is enough. Nullopt: it may go on, with its tenant unless the endpoint
// is open. What is wrong is counted.
std::optional<key_refusal> admit_key(const tenants::key_table& keys, http::exchange& x, tenants::access needed);

// Whether the tenant's key lacks a scope. Nullopt: it has it, or nobody needs a key.
std::optional<key_refusal> refuse_scope(const http::exchange& x, tenants::access needed);

// Whether an Authorization field of the request has a key of this server, or may have one of the fleet's that it does
// not know yet: no program may see it.
bool has_key_of_ours(const services& with, const http::exchange& x);

}  // namespace sandboxd::api
