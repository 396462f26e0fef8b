// A runtime: its program, what that needs in a jail, and how to run a file with it.
#pragma once

#include "init/hold.hpp"
#include "jail/spec.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd::programs {

// How a runtime waits before the first line of its program (init/hold.hpp).
struct waiting {
    std::vector<std::string> run_file;  // in place of runtime::run_file
    jail::mount script;                 // what it then loads first
    std::uint64_t bytes{0};             // about the memory of one that waits
    // It boots in its program's directory and reads files there (settings, variables), so it can only wait for a
    // program of one file: nothing of a client's is read before the word. Others boot in init::hold::boot_directory,
    // and their program must be named by its absolute path.
    bool reads_other_files{false};
    // It boots in little more time than its jail takes to be built.
    bool boots_fast{false};

    // Where it boots, for a program that is to run in `of_program`.
    std::string directory(std::string_view of_program) const
    {
        return std::string{reads_other_files ? of_program : init::hold::boot_directory};
    }
};

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
    std::optional<waiting> waits{};           // empty: it cannot wait
    std::vector<std::string> version_argv{};  // prints its version; as seen inside
    std::string version{};                    // "20.20.2"; empty: not known yet
    std::string fault{};                      // why it does not work here; empty: it works, as far as known
};

}  // namespace sandboxd::programs
