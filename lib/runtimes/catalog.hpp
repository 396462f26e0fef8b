// Which runtimes there are: one table for sandboxes and deployments.
//
// A row of the table (catalog.cpp) says what a runtime is made of and how it runs a file; adding one is adding a
// row. A runtime is there when all its programs are: as configured, next to this server's own program
// (libexec/sandboxd, where the build puts Bun and esbuild), or on a search path. TypeScript is Bun's business where
// there is a Bun; esbuild and Node.js do it otherwise, at about five times the start-up time.
#pragma once

#include "async/event.hpp"
#include "async/task_group.hpp"
#include "base/errc.hpp"
#include "jail/jail.hpp"
#include "runtimes/runtime.hpp"

#include <boost/asio/awaitable.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::runtimes {

// The programs that runtimes are made of, as absolute paths on this host; empty: not there.
struct programs {
    std::string node{};
    std::string bun{};
    std::string esbuild{};
    std::string typescript{};  // typescript.mjs, for Node.js with esbuild
    std::string python{};

    bool operator==(const programs&) const = default;
};

// `configured`: what has a path there is taken as it is. `helpers`: the directory next to the server's own.
// `search_path`: directories, separated by colons. Looks at the disk.
programs find_programs(const programs& configured, const std::string& helpers, std::string_view search_path);

// The rows of the table whose programs are there, in its order: of those with the same name the first one that works is
// taken. Pure.
std::vector<runtime> runtimes_of(const programs& there);

// The names of the table, each once, in its order, as "node, bun, typescript or python": for messages.
std::string known_names();

// Every word by which the table's runtimes are called in a command line, whether they are here or not.
std::vector<std::string> known_commands();

class catalog {
public:
    // `tasks` and `wall` must outlive it.
    catalog(boost::asio::any_io_executor executor, async::task_group& tasks, jail::jail& wall,
            std::vector<runtime> there);

    // Every program has been asked for its version, in the jail; the first call has that done. What does not work
    // is not there any more.
    boost::asio::awaitable<void> probed();

    // Null when it is not there or does not work. Stays valid as long as the catalog.
    const runtime* find(std::string_view name) const;
    // Those that work, and those of which that is not known yet.
    std::vector<const runtime*> all() const;
    // What to answer when find() finds nothing: unprocessable, with the name and the cure.
    error missing(std::string_view name) const;

private:
    boost::asio::awaitable<void> probe();

    async::task_group& tasks_;
    jail::jail& wall_;
    std::vector<runtime> there_;
    async::event probed_;
    bool begun_{false};
};

}  // namespace sandboxd::runtimes
