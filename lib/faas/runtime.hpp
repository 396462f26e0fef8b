// A runtime as deployments use it: where its program is, and what that needs to see.
#pragma once

#include "jail/spec.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace sandboxd::faas {

struct hosted_runtime {
    std::string name;                       // "node": what a request asks for
    std::string command;                    // "node": the word for it in a command line
    std::string program;                    // absolute, as seen inside
    std::vector<jail::mount> mounts;        // what it needs, the program included
    std::vector<std::string> run_file{};      // arguments between the program and a file
    std::string entry_name;                 // "index.js": where `code` goes, and what is run without an entry point
    // What a process of it maps beyond what it uses: where memory is limited by RLIMIT_DATA and not by a cgroup,
    // the limit is raised by that.
    std::uint64_t reserved_bytes{0};
};

}  // namespace sandboxd::faas
