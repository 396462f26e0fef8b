// Reads what a client posts to /faas/deploy and puts to …/files: pure, so that it can be tested without a server.
#pragma once

#include "api/read_json.hpp"
#include "base/errc.hpp"
#include "faas/service.hpp"

#include <string_view>

namespace sandboxd::api {

// `{runtime, code?, entry_point?, files?: [{path, content, encoding?}], env_vars?: {…}, memory_limit_mb?,
// auto_scale?: {scale_down_after_minutes?, max_instances?}}`; other members are ignored. Minutes may have a fraction; 0
// means never.
// Errors: invalid_request; the message names the member by its path.
result<faas::deploy_request> read_deploy_request(std::string_view body, const request_limits& limits = {});

// `{files: [{path, content, encoding?}], restart_dev_server?}`. Errors: invalid_request.
result<faas::update_request> read_files_request(std::string_view body, const request_limits& limits = {});

// `{revision, restart_dev_server?}`. Errors: invalid_request.
result<faas::update_request> read_revision_request(std::string_view body, const request_limits& limits = {});

// Their members, for the API's description.
std::vector<json_member_info> deploy_request_members(const request_limits& limits);
std::vector<json_member_info> files_request_members(const request_limits& limits);
std::vector<json_member_info> revision_request_members();

}  // namespace sandboxd::api
