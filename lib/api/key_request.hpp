// Reads what an operator posts to /admin/keys: pure, so that it can be tested without a server.
#pragma once

#include "api/read_json.hpp"
#include "base/errc.hpp"
#include "tenants/key_entry.hpp"

#include <string_view>
#include <vector>

namespace sandboxd::api {

// `{name, scopes: [...], limits?: {...}}`, by the rules of the keys file: other members are errors. The digest is left
// to the caller. Errors: invalid_request; the message names the member by its path.
result<tenants::key_entry> read_key_request(std::string_view body, const json_limits& limits = {});

// Its members, for the API's description.
std::vector<json_member_info> key_request_members();

}  // namespace sandboxd::api
