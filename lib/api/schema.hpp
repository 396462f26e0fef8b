// JSON Schema (draft 2020-12, as OpenAPI 3.1 has it) for the API's description.
#pragma once

#include "base/json_reader.hpp"

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::api::schema {

// The configuration's keys that are numbers, with this server's values.
using number_map = std::map<std::string, std::int64_t, std::less<>>;

// `means` is Markdown, a sentence or two; empty: the name says it.
boost::json::object text(std::string_view means = {});
boost::json::object integer(std::string_view means = {});  // 0 or more
boost::json::object number(std::string_view means = {});   // 0 or more
boost::json::object boolean(std::string_view means = {});
boost::json::object anything(std::string_view means = {});
boost::json::object constant(boost::json::value value, std::string_view means = {});
boost::json::object one_of(std::span<const std::string_view> texts, std::string_view means = {});
boost::json::object list(boost::json::object items, std::string_view means = {});
// One of these, by their own members.
boost::json::object any_of(std::initializer_list<boost::json::object> each);

struct member {
    std::string_view name;
    boost::json::object what;
    bool is_required{true};
};
inline member maybe(std::string_view name, boost::json::object what) { return {name, std::move(what), false}; }

// An object with these members. Others may be added to answers later, so it is open.
boost::json::object record(const std::vector<member>& members, std::string_view means = {});

// The object that a request's declaration reads. Bounds and defaults that are configuration keys are looked up in
// `numbers`.
boost::json::object of_request(const std::vector<json_member_info>& members, const number_map& numbers);

}  // namespace sandboxd::api::schema
