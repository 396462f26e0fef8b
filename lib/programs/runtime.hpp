// A runtime: its program, what that needs in a jail, and how to run a file with it.
#pragma once

#include "jail/spec.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace sandboxd::programs {

struct runtime {
    std::string name;                     // "node": the name in requests
    std::string command;                  // "node": the command in a command line
    std::vector<std::string> aliases{};   // other commands: "python"
    std::string program;                  // absolute, as seen inside
    std::vector<jail::mount> mounts;      // what it needs, the program included
    std::vector<std::string> run_file{};  // arguments between the program and a file
    std::string entry_name;               // "index.js": the file that gets `code`, and the default entry point
    std::vector<std::pair<std::string, std::string>> env{};  // defaults that the client can override
    std::string port_in_code{"process.env.PORT"};            // how a program reads the variable PORT, for messages
    bool takes_packages{true};  // of the npm registry, so that scripts may call other such runtimes
    std::string heap_option{};  // the option before its heap size in MB; empty: it has none
    // What one of its processes maps but does not use: RLIMIT_DATA is raised by this.
    std::uint64_t reserved_bytes{0};
    std::vector<std::string> version_argv{};  // prints its version; as seen inside
    std::string version{};                    // "20.20.2"; empty: not known yet
    std::string fault{};                      // why it does not work here; empty: it works, as far as known
};

}  // namespace sandboxd::programs
