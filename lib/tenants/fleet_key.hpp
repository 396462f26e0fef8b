// A key that was made while the servers ran, for all of them.
#pragma once

#include "base/digest.hpp"
#include "base/errc.hpp"
#include "tenants/key_entry.hpp"

#include <chrono>
#include <string>
#include <string_view>

namespace sandboxd::tenants {

struct fleet_key {
    key_entry what;
    std::chrono::system_clock::time_point created{};  // to the millisecond
    std::string by{};                                 // the name of the tenant whose key has made it

    bool operator==(const fleet_key&) const = default;
};

// The members of a key, `created` (ms since 1970) and `by`, as JSON of at most 1 KiB. The digest is left out: it is the
// name under which the text is kept. Pure.
std::string to_text(const fleet_key& key);

// The other way, with that digest. Errors: invalid_request (something that this version of the program would not write:
// a limit that it does not know must not be taken for none). Pure.
result<fleet_key> fleet_key_from(std::string_view text, const sha256_digest& digest);

}  // namespace sandboxd::tenants
