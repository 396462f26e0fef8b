#include "artifacts/deleted_files.hpp"

#include "artifacts/files.hpp"
#include "base/unique_fd.hpp"

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

namespace sandboxd::artifacts {

namespace {

// Beyond these nobody compiles anything.
constexpr std::size_t most_processes = 4096;
constexpr std::size_t most_descriptors = 16'384;
constexpr std::size_t longest_maps = 4u << 20;

// A file of /proc, up to a size. The kernel makes its text as it is read.
std::string text_of(int directory, const char* name, std::size_t most)
{
    std::string text;
    const unique_fd file{::openat(directory, name, O_RDONLY | O_CLOEXEC)};
    if (!file) return text;
    constexpr std::size_t piece = 16 * 1024;
    while (text.size() < most) {
        const auto before = text.size();
        text.resize(before + piece);
        const auto got = ::read(file.get(), text.data() + before, piece);
        text.resize(before + (got > 0 ? static_cast<std::size_t>(got) : 0));
        if (got <= 0) break;
    }
    return text;
}

std::string_view take_word(std::string_view& line)
{
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    const auto word = line.substr(0, line.find(' '));
    line.remove_prefix(word.size());
    return word;
}

std::string_view take_line(std::string_view& text)
{
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    return line;
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

struct mounted {
    std::string id;
    dev_t device{};
    std::string target;  // as the process sees it
};

// proc_pid_mountinfo(5): "36 35 98:0 /source /target …".
std::vector<mounted> mounts_of(int process, std::string_view source)
{
    std::vector<mounted> found;
    constexpr std::size_t longest = 1u << 20;
    const auto text = text_of(process, "mountinfo", longest);
    for (std::string_view rest{text}; !rest.empty();) {
        auto line = take_line(rest);
        const auto id = take_word(line);
        take_word(line);
        const auto on = take_word(line);
        if (!take_word(line).ends_with(source)) continue;
        found.push_back({std::string{id}, device(on, 10), std::string{take_word(line)}});
    }
    return found;
}

class look {
public:
    explicit look(std::string_view source) : source_{source}
    {
        struct stat own{};
        if (::stat("/proc/self/ns/mnt", &own) == 0) places_[own.st_ino];
    }

    deleted_usage result() const
    {
        deleted_usage all{.bytes = 0, .inodes = files_.size(), .too_many = too_many_};
        for (const auto& [file, bytes] : files_) all.bytes += bytes;
        return all;
    }

    void below(const std::string& pid)
    {
        std::vector<std::string> waiting = children_of(pid);
        for (std::size_t seen = 0; !waiting.empty() && !too_many_; ++seen) {
            too_many_ = seen >= most_processes;
            const auto next = std::move(waiting.back());
            waiting.pop_back();
            examine(next);
            auto more = children_of(next);
            waiting.insert(waiting.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
        }
    }

private:
    // Of all its threads.
    static std::vector<std::string> children_of(const std::string& pid)
    {
        std::vector<std::string> found;
        listing threads{open_directory("/proc/" + pid + "/task")};
        while (const auto* thread = threads.next()) {
            constexpr std::size_t longest = 64 * 1024;
            const auto text = text_of(threads.directory(), (std::string{thread->name} + "/children").c_str(), longest);
            std::string_view rest{text};
            for (auto child = take_word(rest); !child.empty(); child = take_word(rest)) found.emplace_back(child);
        }
        return found;
    }

    static unique_fd open_directory(const std::string& path)
    {
        return unique_fd{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    }

    void examine(const std::string& pid)
    {
        const auto process = open_directory("/proc/" + pid);
        struct stat space{};
        if (!process || ::fstatat(process.get(), "ns/mnt", &space, 0) != 0) return;
        const auto [place, fresh] = places_.try_emplace(space.st_ino);
        if (fresh) place->second = mounts_of(process.get(), source_);
        if (place->second.empty()) return;
        open_files(process.get(), place->second);
        mapped_files(process.get(), place->second);
    }

    void open_files(int process, const std::vector<mounted>& mounts)
    {
        listing items{unique_fd{::openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC)}};
        while (const auto* item = items.next()) {
            if (++descriptors_ > most_descriptors) {
                too_many_ = true;
                return;
            }
            if (item->name[0] == '.') continue;
            struct stat file{};
            if (::fstatat(items.directory(), item->name, &file, 0) != 0 || file.st_nlink != 0) continue;
            if (!S_ISREG(file.st_mode) || !through(process, item->name, mounts)) continue;
            count(file.st_dev, file.st_ino, static_cast<std::uint64_t>(file.st_blocks) * 512);
        }
    }

    // proc_pid_fdinfo(5).
    static bool through(int process, const char* descriptor, const std::vector<mounted>& mounts)
    {
        constexpr std::size_t longest = 4096;
        constexpr std::string_view key = "mnt_id:\t";
        const auto text = text_of(process, (std::string{"fdinfo/"} + descriptor).c_str(), longest);
        const auto at = text.find(key);
        if (at == std::string::npos) return false;
        const auto end = std::min(text.find('\n', at), text.size());
        const std::string_view id{text.data() + at + key.size(), end - at - key.size()};
        return std::ranges::any_of(mounts, [&](const mounted& one) { return one.id == id; });
    }

    // proc_pid_maps(5): "begin-end perms offset device inode path (deleted)".
    void mapped_files(int process, const std::vector<mounted>& mounts)
    {
        const auto text = text_of(process, "maps", longest_maps);
        too_many_ = too_many_ || text.size() >= longest_maps;
        for (std::string_view rest{text}; !rest.empty();) {
            auto line = take_line(rest);
            if (!line.ends_with(" (deleted)")) continue;
            const auto range = take_word(line);
            take_word(line);
            const auto offset = number(take_word(line), 16);
            const auto on = device(take_word(line), 16);
            const auto inode = number(take_word(line));
            line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
            const bool ours = std::ranges::any_of(
                mounts, [&](const mounted& one) { return one.device == on && line.starts_with(one.target + "/"); });
            if (!ours) continue;
            struct stat file{};
            // Following these links needs CAP_CHECKPOINT_RESTORE outside.
            if (::fstatat(process, ("map_files/" + std::string{range}).c_str(), &file, 0) == 0) {
                count(on, inode, static_cast<std::uint64_t>(file.st_blocks) * 512);
                continue;
            }
            const auto dash = std::min(range.find('-'), range.size() - 1);
            count(on, inode, offset + number(range.substr(dash + 1), 16) - number(range.substr(0, dash), 16));
        }
    }

    void count(dev_t on, ino_t inode, std::uint64_t bytes)
    {
        auto& known = files_[{on, inode}];
        known = std::max(known, bytes);
    }

    std::string source_;
    std::map<ino_t, std::vector<mounted>> places_;  // by mount namespace
    std::map<std::pair<dev_t, ino_t>, std::uint64_t> files_;
    std::size_t descriptors_{0};
    bool too_many_{false};
};

}  // namespace

deleted_usage find_deleted(std::string_view source)
{
    look all{source};
    all.below("self");
    return all.result();
}

}  // namespace sandboxd::artifacts
