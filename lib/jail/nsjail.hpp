// The command line that puts a program behind nsjail.
//
// Unlike bubblewrap, nsjail starts the program as PID 1 of its namespace: a signal that it sends to itself and does
// not handle does not end it, and dead adopted grandchildren stay zombies until it exits.
#pragma once

#include "base/errc.hpp"
#include "jail/seccomp.hpp"
#include "jail/spec.hpp"
#include "process/command.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::jail {

struct nsjail_setup {
    std::string executable;
    // Outside: the uid and gid of all that runs in the jail; the server's own when it is not root.
    process::identity outside;
    // nsjail itself also runs as `outside`, instead of as root.
    bool drop{false};
    std::string devices{"/dev"};           // the directory of the nodes of devices
    for_each_policy<std::string> seccomp;  // see seccomp_text()
    std::string log{"/dev/null"};          // where nsjail writes its own messages
};

// Of nsjail's log, whose program has ended with that code: why the program was not begun. Nullopt: it was. Pure.
std::optional<std::string> nsjail_failure(std::string_view log, int code);

// Pure. Error: `unavailable` for a mount whose path has a colon, which nsjail's syntax cannot express.
result<process::command> nsjail_command(const spec& what, const nsjail_setup& setup);

}  // namespace sandboxd::jail
