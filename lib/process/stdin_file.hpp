// Standard input as a file in memory instead of a pipe: nothing has to be written while the child runs, and a child
// that does not read cannot raise SIGPIPE here.
#pragma once

#include "base/errc.hpp"
#include "base/unique_fd.hpp"

#include <string_view>

namespace sandboxd::process {

// An empty file in memory (memfd_create(2)), to be filled once. Error: internal.
result<unique_fd> make_stdin_file();

// Writes `text` from the beginning, whoever else has the file open reads from there; then nobody can change it any
// more. Error: internal.
result<void> fill_stdin_file(const unique_fd& file, std::string_view text);

}  // namespace sandboxd::process
