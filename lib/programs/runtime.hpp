// A runtime: where its program is, what that needs to see in a jail, and how it is told to run a file.
#pragma once

#include "jail/spec.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace sandboxd::programs {

struct runtime {
    std::string name;                     // "node": what a request asks for
    std::string command;                  // "node": the word for it in a command line
    std::vector<std::string> aliases{};   // other words for it: "python"
    std::string program;                  // absolute, as seen inside
    std::vector<jail::mount> mounts;      // what it needs, the program included
    std::vector<std::string> run_file{};  // arguments between the program and a file
    std::string entry_name;               // "index.js": where `code` goes, and what is run without an entry point
    std::vector<std::pair<std::string, std::string>> env{};  // unless the client sets them otherwise
    std::string port_in_code{"process.env.PORT"};            // how a program reads the variable PORT, for messages
    bool takes_packages{true};  // of the npm registry, and so scripts that call other such runtimes
    std::string heap_option{};  // before the size of its heap in MB; empty: it has no such option
    // What a process of it maps beyond what it uses: RLIMIT_DATA is raised by that.
    std::uint64_t reserved_bytes{0};
    std::vector<std::string> version_argv{};  // prints its version; as seen inside
    std::string version{};                    // "20.20.2"; empty: not known (yet)
    std::string fault{};                      // why it does not work here; empty: it does, as far as is known
};

}  // namespace sandboxd::programs
