#include "api/key_request.hpp"

#include <utility>

namespace sandboxd::api {

result<tenants::key_entry> read_key_request(std::string_view body, const json_limits& limits)
{
    tenants::written_key said;
    json_members root;
    tenants::add_key_members(root, said);
    if (auto wrong = read_body(body, root, program_words, limits)) return std::move(*wrong);
    return tenants::check_key(said);
}

std::vector<json_member_info> key_request_members()
{
    tenants::written_key said;
    json_members root;
    tenants::add_key_members(root, said);
    return list_members(root);
}

}  // namespace sandboxd::api
