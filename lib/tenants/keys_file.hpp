// The file of keys:
//
//     {"keys": [{"name": "ci", "sha256": "9f86…", "scopes": ["compile", "execute"],
//                "limits": {"requestsPerMinute": 60, "cpuSecondsPerDay": 3600}}]}
//
// It holds no key, only digests. It is read strictly (see key_entry.hpp): rather than that, the server does not start.
#pragma once

#include "base/errc.hpp"
#include "tenants/key_entry.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

namespace sandboxd::tenants {

struct keys_file_limits {
    std::size_t max_keys{1'000};         // auth.maxKeys
    std::size_t max_bytes{512u * 1024};  // auth.maxKeysFileKB
};

// Error: invalid_request, with the place in the text. Pure.
result<std::vector<key_entry>> read_keys(std::string_view text, const keys_file_limits& limits);

// Reads the file, if nobody but the server's user and root can have written it: they own it and each directory that
// leads to it, and nobody else may write there. A symbolic link is followed within its own directory, as Kubernetes
// has them in mounted secrets. Blocks. Errors: io, invalid_request.
result<std::vector<key_entry>> load_keys(const std::filesystem::path& file, const keys_file_limits& limits);

// What changes when the file is written or replaced. Nullopt: it is not there.
struct file_stamp {
    std::uint64_t device{0};
    std::uint64_t inode{0};
    std::int64_t bytes{0};
    std::int64_t written_ns{0};
    std::int64_t changed_ns{0};

    bool operator==(const file_stamp&) const = default;
};
std::optional<file_stamp> stamp_of(const std::filesystem::path& file);

}  // namespace sandboxd::tenants
