// Reads what a client posts to /execute and /api/execute: pure, so that it can be tested without a
// server.
#pragma once

#include "base/errc.hpp"
#include "base/json_reader.hpp"
#include "js/service.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::api {

// `{script, sandbox_id?, init_script?, module?, modules?, fuel?, memory_limit_bytes?, timeout_ms?, tools?,
// clock?, seed?}`; other members
// are ignored, and an optional member may be null. `defaults` are used for missing limits, `most` bounds the given
// ones, `max_modules` the modules, whose names have at most 1024 bytes. Errors: invalid_request; the message names the
// member by its path.
result<js::service_request> read_execute_request(std::string_view body, const script::run_limits& defaults,
                                                 const script::run_limits& most, std::size_t max_modules,
                                                 const json_limits& json = {}, std::size_t max_tools = 128);

// Its members, for the API's description.
std::vector<json_member_info> execute_request_members(const script::run_limits& most, std::size_t max_modules,
                                                      std::size_t max_tools = 128);

// `{continuation, results: [{id, value | error}…], keep?}`. The results go to the script as they were sent; here they
// are only looked past. Errors: invalid_request, also if there are more than `max_calls`.
result<js::continue_request> read_continue_request(std::string body, std::size_t max_calls,
                                                   const json_limits& json = {});
std::vector<json_member_info> continue_request_members(std::size_t max_calls);

// The parameters of /api/execute.
struct script_parameters {
    std::optional<std::string> code;
    std::optional<std::string> file;
};

// Reads `application/x-www-form-urlencoded`, or a query; the first of several values counts.
// https://url.spec.whatwg.org/#urlencoded-parsing. Errors: invalid_request, if that is not UTF-8 or
// has more than 1000 fields.
result<script_parameters> read_script_form(std::string_view body);

// Reads `multipart/form-data` with this boundary (RFC 7578); an uploaded file stands for its content, and the first
// of several values of a name counts. Errors: invalid_request, if the body is incomplete, not UTF-8 or has
// more than 1000 parts.
result<script_parameters> read_script_multipart(std::string_view body, std::string_view boundary);

// Reads a JSON object; an empty body is an empty object. Errors: invalid_request.
result<script_parameters> read_script_json(std::string_view body, const json_limits& json = {});

// Its members, for the API's description.
std::vector<json_member_info> script_members();

}  // namespace sandboxd::api
