// Proves that a jail works: runs a small program in it and reads its report about the walls.
#pragma once

#include "jail/jail.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::jail {

// What the program must report.
struct expectation {
    uid_range uids{inside.uid, 1};  // one of these
    gid_t gid{inside.gid};
    // If the jail has its own kernel (gVisor): the host's /proc/version, which must not be seen. Such a kernel
    // reports less about itself.
    std::string not_this_kernel{};
};

// What the probe runs: it prints /proc/self/status, /proc/version and /proc/net/dev, as seen inside, and with `init`
// (sandboxd-init, outside) what of the mounts can be changed from there (app/init/look.hpp), or without, what
// /proc/self/mountinfo says about them.
//
// `directory`: a directory that the program can write to. Empty: none.
spec probe_spec(const std::string& directory, const std::string& init);

// Pure. The wall that is missing according to the printed text; nullopt when all stand.
std::optional<std::string> missing_wall(std::string_view printed, const expectation& expected = {});

// Nullopt when the jail works, otherwise the reason.
boost::asio::awaitable<std::optional<std::string>> probe(jail& candidate, std::string jobs_directory, std::string init,
                                                         expectation expected = {});

}  // namespace sandboxd::jail
