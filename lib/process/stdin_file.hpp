// Standard input as a file in memory instead of a pipe: nothing is written while the child runs, and a child that
// does not read cannot raise SIGPIPE in the server.
#pragma once

#include "base/errc.hpp"
#include "base/unique_fd.hpp"

#include <string_view>

namespace sandboxd::process {

// An empty file in memory (memfd_create(2)), to be filled once. Error: internal.
result<unique_fd> make_stdin_file();

// Writes `text` and seals the file, so that nobody can change it. Whoever else has the file open reads from its
// beginning. Error: internal.
result<void> fill_stdin_file(const unique_fd& file, std::string_view text);

}  // namespace sandboxd::process
