// Whose things are, on a server with keys: what a tenant has made is his, and for all others it is not there.
//
// A key with the scope `admin` sees the sandboxes, deployments and jobs of all, as far as its other scopes go.
#pragma once

#include "api/services.hpp"
#include "base/digest.hpp"
#include "http/exchange.hpp"

#include <boost/asio/awaitable.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::api {

// Whose the things will be that this request makes; empty: nobody needs a key.
std::string owner_of(const http::exchange& x);

// Whether a thing of this owner is one of the client's. What was made while nobody needed a key is the operator's.
bool is_theirs(const services& with, const http::exchange& x, std::string_view owner);
// The only owner whose things are the client's; nullopt: all are.
std::optional<std::string> only_owner(const services& with, const http::exchange& x);

// The id in the request's path, or this one, if such a thing is there and theirs. Otherwise an id that nothing has, so
// that all goes on as if it had never been there, to the last byte of the answer.
// Errors: index_unavailable.
boost::asio::awaitable<result<std::string>> own_sandbox(services& with, const http::exchange& x);
boost::asio::awaitable<result<std::string>> own_deployment(services& with, const http::exchange& x, std::string id);

// A line of the log for what a tenant has changed. `what`: "create sandbox".
void audit(const services& with, const http::exchange& x, std::string_view what, std::string_view id);
// The same for the key of a name, with as much of its digest as tells it from others.
void audit_key(const services& with, const http::exchange& x, std::string_view what, std::string_view its_name,
               const sha256_digest& digest);

}  // namespace sandboxd::api
