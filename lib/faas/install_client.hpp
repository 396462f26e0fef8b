// The program that installs packages, found on this host: Bun, or npm under Node.js.
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
    std::string version;            // tells one build from the next: part of what identifies a set of packages
    std::vector<std::string> argv;  // program and leading arguments, as seen inside
    std::vector<jail::mount> mounts;
    std::uint64_t reserved_bytes{0};  // see programs::runtime
};

// Bun where there is one, unless an npm is named: who names one wants that one. Else npm, which needs Node.js: `npm` is
// its script (config faas.npm), empty where it is to be looked for in the directories of `search_path`, which colons
// separate. Looks at the disk. Empty where nothing can install.
std::optional<install_client> find_install_client(const programs::program_places& there, std::string npm,
                                                  std::string_view search_path);

}  // namespace sandboxd::faas
