// Small files of the system's, whole.
#pragma once

#include <string>

namespace sandboxd {

// As far as it can be read; empty when it cannot. Not by a stream: what /proc says of a process that has just ended is
// an error, which a stream's buffer throws. Blocks; for /proc and /etc alone.
std::string read_text(const std::string& file);

}  // namespace sandboxd
