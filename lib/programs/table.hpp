// The table of runtimes: their programs, and how they run a file. Each row adds one, for sandboxes and deployments.
//
// A runtime is installed if all its programs are: as configured, next to the server's program (libexec/sandboxd,
// where the build puts Bun and esbuild), or on a search path. Bun runs TypeScript if it is installed, otherwise
// esbuild and Node.js do, with about five times the start-up time.
#pragma once

#include "programs/runtime.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::programs {

// The programs that runtimes are made of, as absolute paths on this host; empty: not there.
struct program_places {
    std::string node{};
    std::string bun{};
    std::string esbuild{};
    std::string typescript{};  // typescript.mjs, for Node.js with esbuild
    std::string python{};
    // The scripts with which runtimes wait; without them these do not.
    std::string wait_node{};
    std::string wait_bun{};

    bool operator==(const program_places&) const = default;
};

// `configured`: what has a path there is taken as it is. `helpers`: the directory next to the server's own.
// `search_path`: directories, separated by colons. Looks at the disk.
program_places find_programs(const program_places& configured, const std::string& helpers,
                             std::string_view search_path);

// The rows of the table whose programs are there, in its order: of those with the same name the first one that works is
// taken. Pure.
std::vector<runtime> runtimes_of(const program_places& there);

// The names of the table, each once, in order.
std::vector<std::string_view> known_runtimes();

// The same for messages: "a, b or c".
std::string known_names();

// Every command of the table's runtimes, whether they are installed or not.
std::vector<std::string> known_commands();

// How to install the runtime, for a message; empty for an unknown name.
std::string cure_for(std::string_view name);

}  // namespace sandboxd::programs
