#include "process/memory_watch.hpp"

#include "base/proc.hpp"
#include "base/text_file.hpp"
#include "base/unique_fd.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::process {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::milliseconds memory_interval{200};
constexpr std::chrono::milliseconds second_look{20};
// The share of the loop that one job's watch takes: a twentieth.
constexpr int rest_for_look = 20;
// Processes of a job without a cgroup; one with more counts as over its memory. It is for jails in which nothing else
// counts them: reading more takes longer than a look may.
constexpr std::size_t most_watched = 4096;
constexpr std::uint64_t kib = 1024;
constexpr std::uint64_t tcp_socket_bytes = 128 * kib;
constexpr std::uint64_t other_socket_bytes = 208 * kib;
constexpr std::uint64_t mib = 1024 * kib;
// What the kernel needs for a mapping, with what it needs to find it, and for a pipe of the least size.
constexpr std::uint64_t mapping_bytes = 250;
constexpr std::uint64_t pipe_bytes = 8 * kib;
// Less of either is not looked at.
constexpr std::uint64_t least_in_kernel = 64 * mib;
// Beside what the job may have: libraries, and files that are mapped.
constexpr std::uint64_t weighed_files = 256 * mib;
constexpr std::uint64_t most_weighed = 1280 * mib;
constexpr std::uint64_t most_tables = 8 * mib;

// The most mappings of one process.
std::uint64_t most_mappings()
{
    static const std::uint64_t told = number_behind(read_text("/proc/sys/vm/max_map_count", 64), "");
    return told;
}

// In how many pid namespaces a process has a number.
std::size_t namespaces_of(std::string_view status)
{
    constexpr std::string_view key = "\nNSpid:";
    const auto at = status.find(key);
    if (at == std::string_view::npos) return 0;
    const auto line = status.substr(at + key.size(), status.find('\n', at + 1) - at - key.size());
    return static_cast<std::size_t>(std::ranges::count(line, '\t'));
}

struct watched {
    pid_t pid;
    pid_t parent;  // by this walk
    std::uint64_t anonymous;
    std::uint64_t tables;
};

class tree_walk {
public:
    tree_walk(memory_caps caps, async::turns& turn) : caps_{caps}, turn_{turn} {}

    asio::awaitable<memory_use> all_of(pid_t leader)
    {
        std::vector<std::pair<pid_t, pid_t>> waiting{{leader, 0}};
        while (!waiting.empty()) {
            const auto [next, parent] = waiting.back();
            waiting.pop_back();
            if (found_.size() >= most_watched) {
                use_.bytes = caps_.bytes + 1;
                co_return use_;
            }
            add(next, parent);
            co_await add_children_of(next, waiting);
        }
        use_.processes = found_.size();
        for (const watched& one : found_) {
            use_.bytes += one.anonymous + one.tables;
            largest_ = std::max(largest_, one.anonymous + one.tables);
        }
        if (use_.bytes > caps_.bytes && largest_ <= caps_.bytes) co_await count_shared_once();
        if (caps_.bytes != 0) co_await count_mappings();
        if (caps_.bytes != 0) co_await count_pipes();
        co_return use_;
    }

private:
    void add(pid_t pid, pid_t parent)
    {
        const auto directory = "/proc/" + std::to_string(pid);
        const auto status = read_text(directory + "/status", 16 * kib);
        if (status.empty()) return;
        found_.push_back({pid, parent, kib * (number_behind(status, "\nRssAnon:") + number_behind(status, "\nVmSwap:")),
                          kib * number_behind(status, "\nVmPTE:")});
        static const std::size_t own = namespaces_of(read_text("/proc/self/status", 16 * kib));
        if (caps_.socket_bytes == 0 || use_.socket_bytes != 0 || namespaces_of(status) <= own) return;
        const auto sockets = read_text(directory + "/net/sockstat", 4 * kib);
        const auto all = number_behind(sockets, "sockets: used");
        const auto tcp =
            std::min(all, number_behind(sockets, "TCP: inuse") +
                              number_behind(read_text(directory + "/net/sockstat6", 4 * kib), "TCP6: inuse"));
        use_.socket_bytes = tcp * tcp_socket_bytes + (all - tcp) * other_socket_bytes;
    }

    // Of all its threads.
    asio::awaitable<void> add_children_of(pid_t pid, std::vector<std::pair<pid_t, pid_t>>& into)
    {
        const auto tasks = "/proc/" + std::to_string(pid) + "/task";
        const std::unique_ptr<DIR, int (*)(DIR*)> threads{::opendir(tasks.c_str()), ::closedir};
        while (const dirent* const thread = threads ? ::readdir(threads.get()) : nullptr) {
            if (thread->d_name[0] == '.') continue;
            ++tasks_;
            for (const pid_t child : children_of_thread(tasks + "/" + thread->d_name)) into.emplace_back(child, pid);
            if (turn_.over()) co_await turn_.rest();
        }
    }

    // Between vfork(2) and exec a child has its parent's memory itself. Where the kernel does not tell, it is another.
    static bool is_parents_memory(const watched& one)
    {
        return one.parent != 0 && ::syscall(SYS_kcmp, one.pid, one.parent, KCMP_VM, 0, 0) == 0;
    }

    asio::awaitable<void> count_shared_once()
    {
        use_.bytes = 0;
        for (const watched& one : found_) {
            if (is_parents_memory(one)) continue;
            // Now, and not what it had when the walk came by.
            const auto directory = "/proc/" + std::to_string(one.pid);
            std::string rollup;
            if (may_weigh(read_text(directory + "/status", 16 * kib), caps_))
                rollup = read_text(directory + "/smaps_rollup", 8 * kib);
            const bool told = rollup.find("\nPss_Anon:") != std::string::npos;
            use_.bytes +=
                one.tables + (told ? kib * (number_behind(rollup, "\nPss_Anon:") + number_behind(rollup, "\nSwapPss:"))
                                   : one.anonymous);
            if (turn_.over()) co_await turn_.rest();
        }
    }

    bool is_over() const { return use_.bytes > caps_.bytes; }

    // Lines of the list of mappings, which the kernel tells in pieces.
    asio::awaitable<void> count_mappings()
    {
        const std::uint64_t most = most_mappings();
        if (most != 0 && found_.size() * most * mapping_bytes <= least_in_kernel) co_return;
        char block[16 * kib];
        for (const watched& one : found_) {
            if (is_parents_memory(one)) continue;
            const unique_fd maps{::open(("/proc/" + std::to_string(one.pid) + "/maps").c_str(), O_RDONLY | O_CLOEXEC)};
            ssize_t got = 0;
            while (maps && !is_over() && (got = ::read(maps.get(), block, sizeof block)) > 0) {
                use_.bytes += mapping_bytes * static_cast<std::uint64_t>(std::count(block, block + got, '\n'));
                if (turn_.over()) co_await turn_.rest();
            }
        }
    }

    // By the descriptors of all threads, since each may have its own.
    asio::awaitable<void> count_pipes()
    {
        if (caps_.open_files != 0 && tasks_ * caps_.open_files * (pipe_bytes / 2) <= least_in_kernel) co_return;
        std::set<std::string, std::less<>> seen;
        for (const watched& one : found_) {
            const auto tasks = "/proc/" + std::to_string(one.pid) + "/task";
            const std::unique_ptr<DIR, int (*)(DIR*)> threads{::opendir(tasks.c_str()), ::closedir};
            while (const dirent* const thread = threads ? ::readdir(threads.get()) : nullptr) {
                if (thread->d_name[0] == '.') continue;
                const auto files = tasks + "/" + thread->d_name + "/fd";
                const std::unique_ptr<DIR, int (*)(DIR*)> descriptors{::opendir(files.c_str()), ::closedir};
                while (const dirent* const file = descriptors ? ::readdir(descriptors.get()) : nullptr) {
                    char name[64];
                    const ssize_t size = ::readlinkat(::dirfd(descriptors.get()), file->d_name, name, sizeof name);
                    const std::string_view of{name, static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
                    if (of.starts_with("pipe:") && seen.emplace(of).second) use_.bytes += pipe_bytes;
                    if (is_over()) co_return;
                    if (turn_.over()) co_await turn_.rest();
                }
            }
        }
    }

    memory_caps caps_;
    async::turns& turn_;
    std::size_t tasks_{0};
    std::vector<watched> found_;
    std::uint64_t largest_{0};
    memory_use use_;
};

bool is_over(const memory_use& use, const memory_caps& caps)
{
    return use.bytes > caps.bytes || (caps.socket_bytes != 0 && use.socket_bytes > caps.socket_bytes);
}

}  // namespace

bool may_weigh(std::string_view status, const memory_caps& caps)
{
    std::uint64_t mapped = 0;
    for (const std::string_view part : {"\nRssAnon:", "\nRssFile:", "\nRssShmem:"}) {
        if (status.find(part) == std::string_view::npos) return false;
        mapped += kib * number_behind(status, part);
    }
    mapped += kib * number_behind(status, "\nVmSwap:");
    return mapped <= std::min(caps.bytes + weighed_files, most_weighed) &&
           kib * number_behind(status, "\nVmPTE:") <= most_tables;
}

asio::awaitable<memory_use> memory_of(pid_t leader, memory_caps caps, async::turns& turn)
{
    if (leader <= 0) co_return memory_use{};
    tree_walk walk{caps, turn};
    co_return co_await walk.all_of(leader);
}

asio::awaitable<void> watch_memory(std::shared_ptr<memory_watch> watch, std::shared_ptr<const pid_t> leader,
                                   memory_caps caps)
{
    std::chrono::steady_clock::duration pause = memory_interval;
    bool was_over = false;
    if (watch->begins) co_await watch->begins->wait();
    while (!co_await watch->over.wait_for(pause)) {
        async::turns turn{async::turns::metered};
        const auto use = co_await memory_of(*leader, caps, turn);
        if (watch->over.is_set()) co_return;
        const bool now_over = is_over(use, caps);
        if (now_over && was_over) watch->stop.request(errc::memory_limit);
        pause = std::max<std::chrono::steady_clock::duration>(now_over && !was_over ? second_look : memory_interval,
                                                              turn.pause(rest_for_look));
        was_over = now_over;
    }
}

}  // namespace sandboxd::process
