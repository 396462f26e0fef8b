// Reads what a client posts to /sandbox and /sandbox/{id}/execute: pure, so that it can be tested without a server.
#pragma once

#include "api/read_json.hpp"
#include "base/errc.hpp"
#include "sandboxes/request.hpp"

#include <string_view>
#include <vector>

namespace sandboxd::api {

// `{runtime, code?, entry_point?, files?: [{path, content, encoding?}], env_vars?: {…}, …limits}`; the limits are
// those of sandboxes::limit_table. `null` counts as absent; other members are ignored. Errors: invalid_request; the
// message names the member by its path.
result<sandboxes::create_request> read_sandbox_request(std::string_view body, const request_limits& limits = {});

// `{stdin?, …limits}`, or an empty body. Errors: invalid_request.
result<sandboxes::execution_request> read_execution_request(std::string_view body, const request_limits& limits = {});

// Their members, for the API's description.
std::vector<json_member_info> sandbox_request_members(const request_limits& limits);
std::vector<json_member_info> execution_request_members();

}  // namespace sandboxd::api
