#include "disk/deleted_files.hpp"

#include "base/proc.hpp"
#include "base/text_file.hpp"
#include "base/unique_fd.hpp"
#include "disk/files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace sandboxd::disk {

namespace asio = boost::asio;

namespace {

struct mounted {
    std::string id;
    dev_t device{};
    std::string target;  // as the process sees it
};

// No compile needs more than these.
constexpr std::size_t most_processes = 4096;
constexpr std::size_t most_descriptors = 16'384;
constexpr std::size_t most_mappings = 131'072;
constexpr std::size_t longest_line = 16 * 1024;

// Reads a file of /proc line by line, through a buffer of bounded size. The kernel makes the text while it is read,
// so each read is a small piece of work. A line that is too long ends the file.
class lines_of {
public:
    lines_of(int directory, const char* name) : file_{::openat(directory, name, O_RDONLY | O_CLOEXEC)} {}

    // The view is valid until the next call. False at the end.
    bool next(std::string_view& line)
    {
        for (;;) {
            const auto end = text_.find('\n', at_);
            if (end != std::string::npos || (ended_ && at_ < text_.size())) {
                line = std::string_view{text_}.substr(at_, end == std::string::npos ? end : end - at_);
                at_ = std::min(text_.size(), at_ + line.size() + 1);
                return true;
            }
            if (ended_) return false;
            text_.erase(0, at_);
            at_ = 0;
            constexpr std::size_t piece = 4096;
            const auto before = text_.size();
            ended_ = before >= longest_line;
            text_.resize(before + piece);
            const auto got = ended_ || !file_ ? 0 : ::read(file_.get(), text_.data() + before, piece);
            text_.resize(before + (got > 0 ? static_cast<std::size_t>(got) : 0));
            ended_ = got <= 0;
        }
    }

private:
    unique_fd file_;
    std::string text_;
    std::size_t at_{0};
    bool ended_{false};
};

std::string_view take_word(std::string_view& line)
{
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    const auto word = line.substr(0, line.find(' '));
    line.remove_prefix(word.size());
    return word;
}

std::uint64_t number(std::string_view text, int base = 10)
{
    std::uint64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value, base);
    return value;
}

// A device as mountinfo (decimal) and maps (hexadecimal) write it.
dev_t device(std::string_view text, int base)
{
    const auto colon = std::min(text.find(':'), text.size());
    return ::makedev(static_cast<unsigned>(number(text.substr(0, colon), base)),
                     static_cast<unsigned>(number(text.substr(std::min(colon + 1, text.size())), base)));
}

class look {
public:
    look(std::string source, async::turns& turn) : source_{std::move(source)}, turn_{turn}
    {
        struct stat own{};
        if (::stat("/proc/self/ns/mnt", &own) == 0) own_place_ = own.st_ino;
    }

    deleted_usage result() const
    {
        deleted_usage all{.bytes = 0, .inodes = files_.size(), .too_many = too_many_};
        for (const auto& [file, bytes] : files_) all.bytes += bytes;
        return all;
    }

    asio::awaitable<void> all_of(pid_t leader)
    {
        std::vector<pid_t> waiting{leader};
        // Includes files that turn out not to be the job's.
        std::size_t looked_at = 0;
        while (!waiting.empty() && !too_many_ && ++looked_at <= 2 * most_processes) {
            const pid_t next = waiting.back();
            waiting.pop_back();
            co_await examine(next);
            co_await add_children(next, waiting);
        }
    }

private:
    asio::awaitable<void> rest()
    {
        co_await turn_.rest();
        // The numbers of namespaces may have been reused.
        places_.clear();
    }

    // The children of all its threads.
    asio::awaitable<void> add_children(pid_t pid, std::vector<pid_t>& into)
    {
        const auto tasks = "/proc/" + std::to_string(pid) + "/task";
        listing threads{open_directory(tasks)};
        while (const auto* thread = threads.next()) {
            const auto children = children_of_thread(tasks + "/" + thread->name);
            into.insert(into.end(), children.begin(), children.end());
            if (turn_.over()) co_await rest();
        }
    }

    static unique_fd open_directory(const std::string& path)
    {
        return unique_fd{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    }

    asio::awaitable<void> examine(pid_t pid)
    {
        const auto process = open_directory("/proc/" + std::to_string(pid));
        struct stat space{};
        if (!process || ::fstatat(process.get(), "ns/mnt", &space, 0) != 0 || space.st_ino == own_place_) co_return;
        const auto known = places_.find(space.st_ino);
        std::vector<mounted> mounts;
        if (known != places_.end())
            mounts = known->second;
        else
            mounts = co_await mounts_of(process.get());
        places_[space.st_ino] = mounts;
        // Only a process that mounts the job's directory belongs to the job.
        if (mounts.empty()) co_return;
        if (++processes_ > most_processes) too_many_ = true;
        co_await open_files(process.get(), mounts);
        co_await mapped_files(process.get(), mounts);
    }

    // proc_pid_mountinfo(5): "36 35 98:0 /source /target …".
    asio::awaitable<std::vector<mounted>> mounts_of(int process)
    {
        std::vector<mounted> found;
        lines_of lines{process, "mountinfo"};
        for (std::string_view line; lines.next(line);) {
            const auto id = take_word(line);
            take_word(line);
            const auto on = take_word(line);
            if (take_word(line).ends_with(source_))
                found.push_back({std::string{id}, device(on, 10), std::string{take_word(line)}});
            if (turn_.over()) co_await rest();
        }
        co_return found;
    }

    asio::awaitable<void> open_files(int process, const std::vector<mounted>& mounts)
    {
        listing items{unique_fd{::openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC)}};
        while (const auto* item = items.next()) {
            if (++descriptors_ > most_descriptors) {
                too_many_ = true;
                co_return;
            }
            struct stat file{};
            if (::fstatat(items.directory(), item->name, &file, 0) == 0 && file.st_nlink == 0 &&
                S_ISREG(file.st_mode) && through(process, item->name, mounts))
                count(file.st_dev, file.st_ino, static_cast<std::uint64_t>(file.st_blocks) * 512);
            if (turn_.over()) co_await rest();
        }
    }

    // proc_pid_fdinfo(5).
    static bool through(int process, const char* descriptor, const std::vector<mounted>& mounts)
    {
        constexpr std::size_t longest = 4096;
        constexpr std::string_view key = "mnt_id:\t";
        const auto text = read_text_in(process, (std::string{"fdinfo/"} + descriptor).c_str(), longest);
        const auto at = text.find(key);
        if (at == std::string::npos) return false;
        const auto end = std::min(text.find('\n', at), text.size());
        const std::string_view id{text.data() + at + key.size(), end - at - key.size()};
        return std::ranges::any_of(mounts, [&](const mounted& one) { return one.id == id; });
    }

    // proc_pid_maps(5): "begin-end perms offset device inode path (deleted)".
    asio::awaitable<void> mapped_files(int process, const std::vector<mounted>& mounts)
    {
        lines_of lines{process, "maps"};
        for (std::string_view line; lines.next(line);) {
            if (++mappings_ > most_mappings) {
                too_many_ = true;
                co_return;
            }
            if (line.ends_with(" (deleted)")) mapped_file(process, line, mounts);
            if (turn_.over()) co_await rest();
        }
    }

    void mapped_file(int process, std::string_view line, const std::vector<mounted>& mounts)
    {
        const auto range = take_word(line);
        take_word(line);
        const auto offset = number(take_word(line), 16);
        const auto on = device(take_word(line), 16);
        const auto inode = number(take_word(line));
        line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
        const bool ours = std::ranges::any_of(
            mounts, [&](const mounted& one) { return one.device == on && line.starts_with(one.target + "/"); });
        if (!ours) return;
        struct stat file{};
        // Following these links needs CAP_CHECKPOINT_RESTORE in the initial user namespace.
        if (::fstatat(process, ("map_files/" + std::string{range}).c_str(), &file, 0) == 0)
            return count(on, inode, static_cast<std::uint64_t>(file.st_blocks) * 512);
        const auto dash = std::min(range.find('-'), range.size() - 1);
        count(on, inode, offset + number(range.substr(dash + 1), 16) - number(range.substr(0, dash), 16));
    }

    void count(dev_t on, ino_t inode, std::uint64_t bytes)
    {
        auto& known = files_[{on, inode}];
        known = std::max(known, bytes);
    }

    std::string source_;
    async::turns& turn_;
    ino_t own_place_{0};
    std::map<ino_t, std::vector<mounted>> places_;  // by mount namespace
    std::map<std::pair<dev_t, ino_t>, std::uint64_t> files_;
    std::size_t processes_{0};
    std::size_t descriptors_{0};
    std::size_t mappings_{0};
    bool too_many_{false};
};

}  // namespace

asio::awaitable<deleted_usage> find_deleted(pid_t leader, std::string source, async::turns& turn)
{
    look all{std::move(source), turn};
    if (leader > 0) co_await all.all_of(leader);
    co_return all.result();
}

}  // namespace sandboxd::disk
