// The tools of one toolchain, started and waiting: Python that has imported emcc, and what emcc runs. They are started
// in the background when a job first asks for them, and again when one of them dies, or when a file that they have read
// changes: a package that is upgraded, an emsdk that is replaced.
#pragma once

#include "async/task_group.hpp"
#include "base/errc.hpp"
#include "base/unique_fd.hpp"
#include "process/command.hpp"
#include "toolchain/host.hpp"
#include "toolchain/standing.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sandboxd::toolchain {

// What a started Python is good for: jobs with the same of everything.
struct kit_key {
    std::vector<std::string> python;  // absolute, and its options
    std::string directory;            // with emcc.py and em++.py
    std::vector<std::pair<std::string, std::string>> env;

    bool operator==(const kit_key&) const = default;
};

struct kit_settings {
    std::uint64_t memory_bytes{300u << 20};  // compile.warmMemoryMB: of all tools together (PSS)
    process::identity inside{65'534, 65'534};
};

// A file as it was when a tool read it.
struct read_file {
    std::string path;
    dev_t device;
    ino_t inode;
    off_t size;
    timespec modified;
};

// Nothing: there is no such file.
std::optional<read_file> look_at(const std::string& path);
bool has_changed(const read_file& one);

// The files that a process has mapped, by the text of /proc/<pid>/maps. Pure.
std::vector<std::string> mapped_files(std::string_view maps);

// Whether what a process writes into its memory is seen by others, as its children would be. Pure.
bool shares_memory(std::string_view maps);

// What tool_python.py says: the tools' paths, how Node.js is started, and what was read; each word with its NUL, and an
// empty one between the lists. Nothing where it is of another shape. Pure.
struct python_greeting {
    std::vector<std::string> tools;
    std::vector<std::string> node;  // may be empty
    std::vector<std::string> files;
};
std::optional<python_greeting> parse_greeting(std::string_view text);

class kit {
public:
    kit(boost::asio::any_io_executor executor, async::task_group& tasks, kit_settings how);
    ~kit();

    // Whether jobs of that kind find the tools started. Where they do not, they are being started from now on.
    bool ready_for(const kit_key& key);

    // How many processes they are in a jail.
    std::uint32_t processes() const noexcept;

    // Lets a child of each tool enter the jail of `process`, which descends from `leader` and in which nothing of a job
    // has begun. Each child is looked at from outside before it serves: it stands where `process` stands. Returns
    // whether emcc's Python is in there; `soon`: until then. `changeable` is what `changeable_by` said when they were
    // let in, and not a moment later.
    boost::asio::awaitable<bool> enter(pid_t process, pid_t leader, std::chrono::steady_clock::time_point soon,
                                       std::size_t& changeable);

    // How many of their programs a process that stands there could change, if these were not mounted read-only. It is
    // to be no more when a job begins than when they entered.
    std::size_t changeable_by(const standing& who) const;

    // Counts how often the tools were given up: a job that failed meanwhile may have failed for that.
    std::uint64_t generation() const noexcept { return generation_; }

    // How jobs start Node.js. Empty: that is not known.
    std::vector<std::string> node() const;

    // The compiler for C and C++ among the tools. Empty: it is not one of them.
    std::string clang() const;

    // Proportional set size of all of them, when it was last looked at.
    std::uint64_t bytes() const noexcept { return bytes_; }

    // Ends them, for good.
    void close();

private:
    struct tool_set;
    struct entering;

    boost::asio::awaitable<void> bring_up();
    boost::asio::awaitable<result<std::shared_ptr<tool_set>>> start_all();
    boost::asio::awaitable<bool> admit(entering& one, const standing& there, pid_t leader,
                                       std::chrono::steady_clock::time_point soon);
    bool not_in(std::string_view why);
    void give_up(std::string_view why);
    void look();

    boost::asio::any_io_executor executor_;
    async::task_group& tasks_;
    kit_settings settings_;
    kit_key key_;
    std::shared_ptr<tool_set> set_;     // null: not started
    std::shared_ptr<tool_set> coming_;  // while they are being started
    std::optional<standing> here_;
    unique_fd filter_;
    bool starting_{false};
    bool closed_{false};
    std::uint64_t generation_{0};
    std::uint64_t bytes_{0};
    std::chrono::steady_clock::time_point retry_{};
    std::chrono::steady_clock::time_point look_again_{};
    std::chrono::steady_clock::time_point weigh_again_{};
    std::chrono::seconds pause_{1};  // before the next start; it doubles until a tool gets into a jail
    int failures_{0};
    int slow_in_a_row_{0};
    bool complained_{false};
};

}  // namespace sandboxd::toolchain
