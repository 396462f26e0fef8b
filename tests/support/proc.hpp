// What /proc says about this process and about others, for tests that nothing is left behind.
#pragma once

#include "support/eventually.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <sstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace sandboxd::test {

// Empty when there is no such file. A process may end while its files are read: a stream would throw.
inline std::string text_of(const std::string& path)
{
    std::string text;
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return text;
    std::array<char, 4096> piece{};
    for (ssize_t got = 0; (got = ::read(file, piece.data(), piece.size())) > 0;)
        text.append(piece.data(), static_cast<std::size_t>(got));
    ::close(file);
    return text;
}

inline std::vector<std::string> names_in(const std::string& directory)
{
    std::vector<std::string> names;
    const std::unique_ptr<DIR, int (*)(DIR*)> open{::opendir(directory.c_str()), ::closedir};
    if (!open) return names;
    while (const dirent* entry = ::readdir(open.get())) {
        const std::string name = entry->d_name;
        if (name != "." && name != "..") names.push_back(name);
    }
    return names;
}

// Everything below a directory, through no link. What goes away in between is passed over: an iterator of the
// standard library throws.
inline std::vector<std::string> paths_below(const std::string& directory)
{
    std::vector<std::string> paths;
    for (const auto& name : names_in(directory)) {
        const auto path = directory + "/" + name;
        paths.push_back(path);
        std::error_code gone;
        if (std::filesystem::symlink_status(path, gone).type() != std::filesystem::file_type::directory) continue;
        for (auto& deeper : paths_below(path)) paths.push_back(std::move(deeper));
    }
    return paths;
}

// A number of seconds for sleep(1) that marks the processes of this test program, and of no other.
inline std::string marker() { return "86400." + std::to_string(::getpid()) + "s"; }

// Processes (not zombies, which have no command line) with `marker` somewhere in their command
// line.
inline std::vector<pid_t> processes_with(const std::string& marker)
{
    std::vector<pid_t> found;
    for (const auto& name : names_in("/proc")) {
        if (name.find_first_not_of("0123456789") != std::string::npos) continue;
        if (name == std::to_string(::getpid())) continue;
        if (text_of("/proc/" + name + "/cmdline").find(marker) != std::string::npos)
            found.push_back(static_cast<pid_t>(std::stol(name)));
    }
    return found;
}

// What the kernel prints of children: "12 34 ".
inline std::vector<pid_t> numbers_in(const std::string& text)
{
    std::vector<pid_t> numbers;
    std::istringstream words{text};
    for (pid_t one = 0; words >> one;) numbers.push_back(one);
    return numbers;
}

// Whether this process or one below it was started as `program`.
inline bool runs_below(pid_t pid, const std::string& program)
{
    const auto here = "/proc/" + std::to_string(pid);
    if (text_of(here + "/cmdline").starts_with(program)) return true;
    for (const auto child : numbers_in(text_of(here + "/task/" + std::to_string(pid) + "/children")))
        if (runs_below(child, program)) return true;
    return false;
}

// Whether it runs no more. A zombie has ended, too: when it is buried is init's affair.
inline bool has_ended(pid_t pid) { return text_of("/proc/" + std::to_string(pid) + "/cmdline").empty(); }

// Those of them that run after a while, and what they are: empty if all have ended.
inline std::string survivors(const std::vector<pid_t>& of)
{
    if (eventually([&of] { return std::ranges::all_of(of, has_ended); })) return {};
    std::string told;
    for (const auto pid : of) {
        if (has_ended(pid)) continue;
        auto line = text_of("/proc/" + std::to_string(pid) + "/cmdline");
        std::ranges::replace(line, '\0', ' ');
        told += line + " | " + text_of("/proc/" + std::to_string(pid) + "/stat");
    }
    return told;
}

// A process and all below it.
inline std::vector<pid_t> family_of(pid_t pid)
{
    std::vector<pid_t> all{pid};
    for (std::size_t i = 0; i < all.size(); ++i) {
        const auto one = std::to_string(all[i]);
        for (const auto child : numbers_in(text_of("/proc/" + one + "/task/" + one + "/children")))
            all.push_back(child);
    }
    return all;
}

// How many the server has open for such a jail: sockets, files of its directory and of its start, its uid, its output.
inline constexpr std::size_t descriptors_of_a_waiting_jail = 14;

// The processes of jails that stand before their job has come, by jail; the server's child comes first. Their
// directories are not among those of jobs.
inline std::vector<std::vector<pid_t>> jails_that_wait(pid_t server)
{
    std::vector<std::vector<pid_t>> found;
    const auto one = std::to_string(server);
    for (const auto child : numbers_in(text_of("/proc/" + one + "/task/" + one + "/children"))) {
        // Who enters one on behalf of a tool is no jail.
        if (text_of("/proc/" + std::to_string(child) + "/comm") == "sandboxd-tool\n") continue;
        const auto family = family_of(child);
        for (const auto member : family) {
            if (text_of("/proc/" + std::to_string(member) + "/mountinfo").find("/ready/next.") == std::string::npos)
                continue;
            found.push_back(family);
            break;
        }
    }
    return found;
}

// Our children, zombies included, as the kernel prints them: "12 34 ". Empty when there are none.
inline std::string children() { return text_of("/proc/thread-self/children"); }

inline std::size_t open_descriptors() { return names_in("/proc/self/fd").size(); }

}  // namespace sandboxd::test
