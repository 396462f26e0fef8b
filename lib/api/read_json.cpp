#include "api/read_json.hpp"

#include <string>

namespace sandboxd::api {

std::optional<error> read_body(std::string_view body, json_members& root, const body_words& words,
                               const json_limits& limits)
{
    const auto fault = read_json(body, root, limits);
    if (!fault) return std::nullopt;
    switch (fault->what) {
        case json_fault::kind::syntax: return invalid_request(std::string{words.no_json} + fault->message);
        case json_fault::kind::no_object: return invalid_request(std::string{words.no_object});
        case json_fault::kind::too_many: return invalid_request("the body has " + fault->message);
        case json_fault::kind::member:
        case json_fault::kind::too_long: break;
    }
    return error{fault->code, fault->message};
}

}  // namespace sandboxd::api
