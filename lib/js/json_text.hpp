// Is this JSON? For texts that come out of the sandbox as JSON and go into an answer as they are.
#pragma once

#include <string_view>

namespace sandboxd::js {

// RFC 8259, except that an escape may name half of a surrogate pair, as JSON.stringify writes it
// (ECMA-262, 25.5.2.3). Valid UTF-8, any depth, nothing around the value but white space. Linear.
bool is_json(std::string_view text);

// The same, and the value is an array.
bool is_json_array(std::string_view text);

}  // namespace sandboxd::js
