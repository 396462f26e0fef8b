// The table of runtimes: what each is made of, and how it runs a file. A row adds one, for sandboxes and deployments.
//
// A runtime is there when all its programs are: as configured, next to this server's own program (libexec/sandboxd,
// where the build puts Bun and esbuild), or on a search path. TypeScript is Bun's business where there is a Bun;
// esbuild and Node.js do it otherwise, at about five times the start-up time.
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

    bool operator==(const program_places&) const = default;
};

// `configured`: what has a path there is taken as it is. `helpers`: the directory next to the server's own.
// `search_path`: directories, separated by colons. Looks at the disk.
program_places find_programs(const program_places& configured, const std::string& helpers,
                             std::string_view search_path);

// The rows of the table whose programs are there, in its order: of those with the same name the first one that works is
// taken. Pure.
std::vector<runtime> runtimes_of(const program_places& there);

// The names of the table, each once, in its order, as "node, bun, typescript or python": for messages.
std::string known_names();

// Every word by which the table's runtimes are called in a command line, whether they are here or not.
std::vector<std::string> known_commands();

// What makes the runtime be there, for a message; empty for a name that the table does not have.
std::string cure_for(std::string_view name);

}  // namespace sandboxd::programs
