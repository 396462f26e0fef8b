// What is answered to a body that is not the JSON an endpoint reads.
#pragma once

#include "base/errc.hpp"
#include "base/json_reader.hpp"

namespace sandboxd::api {

// invalid_request: "invalid JSON: …", or the member's path and what it must be.
error not_taken(const json_fault& fault);

}  // namespace sandboxd::api
