// The server's own directories, which no other user may read. They are made with their final mode, whatever the
// umask, and are tightened where they exist with a wider one.
#pragma once

#include "base/errc.hpp"
#include "base/unique_fd.hpp"

#include <sys/types.h>

#include <filesystem>
#include <optional>

namespace sandboxd::disk {

// Makes the missing parts of `path`, each with mode 0755 whatever the umask. Errors: io.
result<void> make_directories(const std::filesystem::path& path);

// Makes `path` and its missing parents, and opens it. Its mode is 0700; with a `group` it is 0710 and that group,
// whose processes may pass through but not list it. `path` itself may be a symbolic link that the operator made.
//
// An existing directory gets that mode, too, if this process' user owns it, unless it has the sticky bit or lies
// directly below `/`: like /tmp or /srv, it may be shared. A directory that stays wider is logged as a warning.
// Errors: io.
result<unique_fd> make_private_directory(const std::filesystem::path& path, std::optional<gid_t> group = std::nullopt);

}  // namespace sandboxd::disk
