// Finds the package manager on this host: Bun, or npm under Node.js.
#pragma once

#include "jail/spec.hpp"
#include "programs/table.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::faas {

struct install_client {
    bool bun{false};
    std::string version;            // distinguishes builds; part of a set's key
    std::vector<std::string> argv;  // program and leading arguments, as seen inside
    std::vector<jail::mount> mounts;
    std::uint64_t reserved_bytes{0};  // see programs::runtime
};

// Bun if it is installed, unless an npm is named. Otherwise npm, which needs Node.js: `npm` is its script (config
// faas.npm); empty: search the directories of `search_path`, separated by colons. Reads the disk. Nullopt if there is
// no package manager.
std::optional<install_client> find_install_client(const programs::program_places& there, std::string npm,
                                                  std::string_view search_path);

}  // namespace sandboxd::faas
