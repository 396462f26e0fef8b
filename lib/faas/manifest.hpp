// The description of a deployment, and its form on disk.
#pragma once

#include "base/errc.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd::faas {

// Of an entry point, and of each script that it leads to. It is kept, listed and told, and becomes a command line.
inline constexpr std::size_t longest_entry_point = 4096;

struct manifest {
    std::string id;          // a UUID
    std::string sandbox_id;  // another UUID, by which the program can also be reached
    std::string runtime;
    std::string entry_point;  // empty: the runtime's entry_name
    std::vector<std::pair<std::string, std::string>> env;
    std::int64_t memory_mb{256};
    std::chrono::milliseconds idle{600'000};
    std::int64_t max_instances{1};  // servers that may run it at the same time, where they share it
    std::int64_t created{0};        // seconds since 1970
    std::string owner{};            // the tenant; empty: nobody needed a key
    // Of its files, from 1 on, where servers share their deployments; 0: they do not.
    std::uint64_t revision{0};

    bool operator==(const manifest&) const = default;
};

std::string to_text(const manifest& what);
// Errors: io, when the text was not made by to_text().
result<manifest> manifest_from(std::string_view text);

}  // namespace sandboxd::faas
