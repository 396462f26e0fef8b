// Reads what a client posts to /compile: pure, so that it can be fuzzed and tested without a
// server.
#pragma once

#include "api/read_json.hpp"
#include "base/errc.hpp"
#include "base/json_reader.hpp"
#include "compile/service.hpp"

#include <string_view>
#include <vector>

namespace sandboxd::api {

// `{code, type?, args?, files?, cache?, strict?}`; other members are ignored, as in emcc-sandboxd. The result has
// files or code, never both. Errors: invalid_request; the message names the member by its path.
result<compile::request> read_compile_request(std::string_view body, const request_limits& limits = {});

// Its members, for the API's description.
std::vector<json_member_info> compile_request_members(const request_limits& limits);

}  // namespace sandboxd::api
