// The API's description: an OpenAPI 3.1 document, made from the table of routes, the declarations of the requests, the
// table of error codes and the configuration. https://spec.openapis.org/oas/v3.1.1
#pragma once

#include "api/operation.hpp"
#include "api/services.hpp"

#include <boost/asio/awaitable.hpp>

#include <memory>
#include <string_view>
#include <vector>

namespace sandboxd::api {

// A row of the table of routes.
struct described_route {
    http::verb method;  // http::any_method: each that is passed on
    std::string_view pattern;
    void (*describe)(operation&);
    tenants::access needs;
};

// The rows of the table that this server has.
std::vector<described_route> described_routes(const services& with);

// The document as JSON. It takes milliseconds, in turns, so it is made once: see services::description. `with` must
// stay.
boost::asio::awaitable<std::shared_ptr<const api_description>> describe_api(const services& with,
                                                                            std::vector<described_route> routes);

}  // namespace sandboxd::api
