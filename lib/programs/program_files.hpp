// The files of a client's program, as they come with a request: checked here, written by whoever keeps them.
#pragma once

#include "base/errc.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::programs {

struct program_file {
    std::string path;  // relative
    std::string content;
};

struct file_limits {
    std::size_t max_files{256};
    std::size_t max_bytes{8u << 20};  // all files of a program together
};

// Why a path cannot be a file's; empty when it can. Relative, plain components of printable ASCII or UTF-8 of at
// most 200 bytes (none empty, `.`, `..`), 16 of them, 512 bytes in all; the first is not `node_modules`, and it
// is none of the files by which a package manager is steered (`.npmrc`, `bunfig.toml`).
std::string path_fault(std::string_view path);

// The end of a message about a program without its usual file: which of its files to name as entry_point instead. The
// first with the usual one's extension, those of the top first.
std::string entry_point_cure(std::string_view usual, const std::vector<std::string>& paths);

// Checks files against each other and the limits. Errors: invalid_request (a path at fault, twice the same, one
// file below another), payload_too_large.
result<void> check_files(const std::vector<program_file>& files, const file_limits& limits);

}  // namespace sandboxd::programs
