// The processes below one: found through /proc, killed through pidfds, so that a pid that was given
// away meanwhile is never hit.
#pragma once

#include "support/proc.hpp"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <string>
#include <vector>

namespace sandboxd::test {

struct process_row {
    pid_t parent;
    char state;
};

inline std::map<pid_t, process_row> process_table()
{
    std::map<pid_t, process_row> found;
    for (const auto& name : names_in("/proc")) {
        if (name.find_first_not_of("0123456789") != std::string::npos) continue;
        // pid (comm) state ppid …; comm may hold anything.
        const auto text = text_of("/proc/" + name + "/stat");
        const auto after = text.rfind(") ");
        if (after == std::string::npos || text.size() < after + 5) continue;
        found[static_cast<pid_t>(std::stol(name))] = {static_cast<pid_t>(std::stol(text.substr(after + 4))),
                                                      text[after + 2]};
    }
    return found;
}

inline bool is_below(const std::map<pid_t, process_row>& table, pid_t pid, pid_t above)
{
    for (int depth = 0; depth < 64; ++depth) {
        const auto row = table.find(pid);
        if (row == table.end() || row->second.parent == 0) return false;
        pid = row->second.parent;
        if (pid == above) return true;
    }
    return false;
}

// Without zombies.
inline std::vector<pid_t> descendants(pid_t above)
{
    std::vector<pid_t> found;
    const auto table = process_table();
    for (const auto& [pid, row] : table) {
        if (row.state != 'Z' && row.state != 'X' && is_below(table, pid, above)) found.push_back(pid);
    }
    return found;
}

// SIGKILL for a process that is below `above`. False when it is not, or not any more.
inline bool kill_below(pid_t pid, pid_t above)
{
    const auto fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0U));
    if (fd < 0) return false;
    // Whoever has the pid now has it for as long as the descriptor is open: look only after
    // opening.
    const bool killed =
        is_below(process_table(), pid, above) && ::syscall(SYS_pidfd_send_signal, fd, SIGKILL, nullptr, 0U) == 0;
    ::close(fd);
    return killed;
}

// Orphans come to this process when it is a subreaper; `except` is reaped by somebody else.
inline void reap_orphans(pid_t except)
{
    const auto self = ::getpid();
    for (const auto& [pid, row] : process_table()) {
        if (row.parent == self && pid != except && row.state == 'Z') ::waitpid(pid, nullptr, WNOHANG);
    }
}

}  // namespace sandboxd::test
