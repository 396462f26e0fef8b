// Reads small system files as a whole.
#pragma once

#include <string>

namespace sandboxd {

// The readable part; empty when the file cannot be read. It does not use a stream: reading /proc of a process that
// has just ended fails, and a stream's buffer throws then. Blocks; only for /proc and /etc.
std::string read_text(const std::string& file);

}  // namespace sandboxd
