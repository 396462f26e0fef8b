// Files that exist in memory alone, for children to read.
#pragma once

#include "base/errc.hpp"
#include "base/unique_fd.hpp"

#include <string_view>

namespace sandboxd {

// A file with that content, to be read from its beginning (memfd_create(2)). `name` shows in /proc/PID/fd. Error:
// `internal`.
result<unique_fd> memory_file(const char* name, std::string_view content);

}  // namespace sandboxd
