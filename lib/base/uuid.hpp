// Ids that cannot be guessed: random UUIDs, version 4 (RFC 9562, section 5.4).
#pragma once

#include <string>
#include <string_view>

namespace sandboxd {

std::string new_uuid();

// Whether a text has the form of one, in lower case.
bool is_uuid(std::string_view text) noexcept;

}  // namespace sandboxd
