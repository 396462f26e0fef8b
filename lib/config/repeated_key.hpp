// A configuration key that is written twice: most parsers take the last one silently, so that who edits the first
// wonders why nothing changes.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::config {

struct repeated_key {
    std::string path;       // "http.port"
    std::size_t offset{0};  // at the end of its second place in the text
};

// Those of a text that is JSON (RFC 8259), at most the first 16; none where the text is not.
std::vector<repeated_key> find_repeated_keys(std::string_view text);

// The string at this path, such as "log.format", even if the text after it is not JSON.
std::optional<std::string> find_text(std::string_view text, std::string_view path);

}  // namespace sandboxd::config
