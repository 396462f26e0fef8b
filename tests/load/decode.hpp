// Undoes a content coding, for comparing hashes.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::test {

// `coding`: "gzip", "br". Nothing when the bytes are not that, or not `size` bytes in the end.
std::optional<std::string> decode(std::string_view coding, std::string_view bytes, std::size_t size);

}  // namespace sandboxd::test
