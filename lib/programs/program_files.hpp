// The files of a client's program, as a request has them: checked here, written by the room that keeps them.
#pragma once

#include "base/errc.hpp"
#include "programs/runtime.hpp"

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

// What is wrong with a file's path; empty when it is valid. Valid is a relative path of at most 16 components and 512
// bytes. A component has at most 200 bytes of printable ASCII or UTF-8 and is not empty, `.` or `..`. The first one
// is not `node_modules`, and no component configures a package manager (`.npmrc`, `bunfig.toml`).
std::string path_fault(std::string_view path);

// The end of a message about a program without its entry file: suggests a file for entry_point. It is the first one
// with the same extension, top-level files first.
std::string entry_point_cure(std::string_view usual, const std::vector<std::string>& paths);

// Whether a runtime that waits may boot before a program of these files is wanted: none of them acts on it meanwhile.
bool can_boot_before(const std::vector<std::string>& paths, const waiting& how);

// The error for more files than `most`.
error too_many_files(std::size_t most);

// Checks the files against each other and the limits. Errors: invalid_request (a bad path, the same path twice, one
// file below another), payload_too_large.
result<void> check_files(const std::vector<program_file>& files, const file_limits& limits);

}  // namespace sandboxd::programs
