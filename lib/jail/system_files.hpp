// The few files below /etc that C libraries and runtimes look for, made by the server: `localhost` has an address,
// and the program's uid has a name. They show nothing of the host.
#pragma once

#include "jail/spec.hpp"
#include "process/command.hpp"

#include <string>
#include <vector>

namespace sandboxd::jail {

struct system_file {
    std::string path;  // absolute, as seen inside
    std::string text;

    bool operator==(const system_file&) const = default;
};

// hosts(5), nsswitch.conf(5), resolv.conf(5), passwd(5) and group(5) for a program that is `who` inside, except those
// that a mount of the spec provides or covers. Pure.
std::vector<system_file> system_files(const spec& what, const process::identity& who);

}  // namespace sandboxd::jail
