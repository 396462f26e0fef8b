// Files that exist in memory alone, for children to read.
#pragma once

#include "base/errc.hpp"
#include "base/unique_fd.hpp"

#include <string_view>

namespace sandboxd {

// A file with that content, to be read from its beginning (memfd_create(2)). `name` shows in /proc/PID/fd. Error:
// `internal`.
result<unique_fd> memory_file(const char* name, std::string_view content);

// An empty one, for others to write. Error: `internal`.
result<unique_fd> empty_memory_file(const char* name);

// From now on nobody changes the file's bytes or size, whoever has it open (F_ADD_SEALS, fcntl(2)), and all may read
// it. Only for what `empty_memory_file` made. Error: `internal`; also while it is mapped for writing.
result<void> seal_memory_file(const unique_fd& file);

// A program that everybody may execute and nobody change. Error: `internal`; also where the host forbids such programs
// (vm.memfd_noexec = 2).
result<unique_fd> memory_program(const char* name, std::string_view content);

}  // namespace sandboxd
