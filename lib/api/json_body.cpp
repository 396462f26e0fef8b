#include "api/json_body.hpp"

namespace sandboxd::api {

error not_taken(const json_fault& fault)
{
    switch (fault.what) {
        case json_fault::kind::syntax: return invalid_request("invalid JSON: " + fault.message);
        case json_fault::kind::no_object: return invalid_request("invalid JSON: the body must be an object");
        case json_fault::kind::too_many: return invalid_request("the body has " + fault.message);
        case json_fault::kind::member: break;
    }
    return invalid_request(fault.message);
}

}  // namespace sandboxd::api
