// The tools that agents get: each is an endpoint of the API under a name of its own, with the endpoint's own reading,
// gates, limits and shapes.
#pragma once

#include "api/services.hpp"
#include "http/exchange.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::api {

// One call: the endpoint's request is `of` with `body`, without its connection.
struct tool_call {
    services& with;
    http::exchange& of;
    async::stop_source& stop;
    std::string arguments;  // an object, as JSON
    http::exchange::follower tell{};
};

struct tool {
    std::string_view name;
    std::string_view title;
    std::string_view text;  // what it does, for the model that is to call it
    tenants::access needs;  // that of its endpoint
    bool reads_only{false};
    bool destroys{false};
    bool (*is_offered)(const services& with);
    boost::json::object (*input)(const services& with);
    boost::json::object (*output)(const services& with);
    boost::asio::awaitable<http::response> (*run)(tool_call& call);
};

// Null: there is none of this name here.
const tool* find_tool(const services& with, std::string_view name);
std::vector<std::string> list_tool_names(const services& with);
// As tools/list has them, in an order that does not change.
boost::json::array list_tools(const services& with);
// For the model: what the tools are for.
std::string tool_instructions(const services& with);

}  // namespace sandboxd::api
