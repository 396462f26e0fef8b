// Directories of the server's own, which nobody else on the machine is to read: made with their mode, whatever the
// umask, and mended where they are found wider.
#pragma once

#include "base/errc.hpp"
#include "base/unique_fd.hpp"

#include <sys/types.h>

#include <filesystem>
#include <optional>

namespace sandboxd::disk {

// Makes what is missing of `path`, each directory with mode 0755 whatever the umask. Errors: io.
result<void> make_directories(const std::filesystem::path& path);

// Makes `path`, and what is missing above it, and opens it. Its mode is 0700; with a `group`, 0710 and that group,
// whose processes may pass through and not list it. `path` itself may be a symbolic link of the operator's.
//
// One that is there already gets that mode, too, when this process' user owns it; unless it has the sticky bit or
// stands directly below `/`, as a /tmp or a /srv does that others use as well. Where it stays wider, that is logged as
// a warning. Errors: io.
result<unique_fd> make_private_directory(const std::filesystem::path& path, std::optional<gid_t> group = std::nullopt);

}  // namespace sandboxd::disk
