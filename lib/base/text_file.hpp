// Reads small system files as a whole.
#pragma once

#include <cstddef>
#include <string>

namespace sandboxd {

// The readable part; empty when the file cannot be read. It does not use a stream: reading /proc of a process that
// has just ended fails, and a stream's buffer throws then. Blocks; only for /proc and /etc.
// `most` is for files that somebody else can make long: reading stops with the block that reaches it.
std::string read_text(const std::string& file, std::size_t most = std::string::npos);

// The same for a path below `directory` (openat(2)).
std::string read_text_in(int directory, const char* path, std::size_t most);

}  // namespace sandboxd
