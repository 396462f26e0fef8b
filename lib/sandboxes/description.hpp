// What a sandbox is made of, and its form as bytes, of which another server makes the same one.
#pragma once

#include "base/errc.hpp"
#include "programs/program_files.hpp"
#include "sandboxes/execution_limits.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd::sandboxes {

struct sandbox_info {
    std::string id;
    std::string owner;
    std::string runtime;
    std::string entry_point;
    std::chrono::system_clock::time_point created;
    std::chrono::system_clock::time_point last_used;
    std::size_t files{0};
    std::uint64_t bytes{0};
    std::uint64_t executions{0};  // begun
    std::size_t running{0};       // or waiting to run
    execution_limits bounds;

    bool operator==(const sandbox_info&) const = default;
};

struct description {
    std::string id;     // a UUID
    std::string owner;  // the tenant; empty: nobody needed a key
    std::string runtime;
    std::string entry_point;
    std::vector<std::pair<std::string, std::string>> env;
    execution_limits bounds;
    std::chrono::system_clock::time_point created;  // to the millisecond
    std::vector<programs::program_file> files;

    std::uint64_t bytes() const noexcept;  // of the files
};

// Of what has just been created.
sandbox_info info_of(const description& what);

std::string to_bytes(const description& what);
// The upper bound of what to_bytes() makes of files within these limits.
std::size_t most_bytes_of(const programs::file_limits& limits);

// Errors: invalid_request (not what to_bytes() makes). The files and limits are not held against anybody's.
result<description> description_from(std::string_view bytes, std::size_t most_files);

// What the index of several servers says of a sandbox: all of its info but `last_used`, `executions` and `running`,
// which change.
std::string to_text(const sandbox_info& what);
// Errors: invalid_request.
result<sandbox_info> info_from(std::string_view text);

}  // namespace sandboxd::sandboxes
