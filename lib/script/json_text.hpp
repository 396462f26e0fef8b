// Checks JSON and shows it to people. For texts that come from the sandbox as JSON and go unchanged into an answer:
// they are scanned, never parsed and printed again.
#pragma once

#include <string>
#include <string_view>

namespace sandboxd::script {

// RFC 8259, except that an escape may name half of a surrogate pair, as JSON.stringify writes it
// (ECMA-262, 25.5.2.3). Valid UTF-8, any depth, nothing around the value but white space. Linear.
bool is_json(std::string_view text);

// The same, if the value is an array.
bool is_json_array(std::string_view text);

// Appends the elements of an array that is_json_array() knows: strings bare, everything else as it is written, with
// blanks between. Half of a surrogate pair becomes U+FFFD, as in every text that is turned to UTF-8
// (https://encoding.spec.whatwg.org/#utf-8-encoder). Of anything else that might be given, no more than is there.
void append_elements(std::string& into, std::string_view array);

}  // namespace sandboxd::script
