#include "disk/tree_usage.hpp"

#include "disk/files.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

namespace sandboxd::disk {

namespace asio = boost::asio;

namespace {

constexpr std::size_t deepest_walk = 64;

bool is_over(used_space& used, const tree_caps& caps)
{
    if (!used.over.empty()) return true;
    if (used.inodes > caps.max_inodes)
        used.over = "holds more than " + std::to_string(caps.max_inodes) + " files";
    else if (used.bytes > caps.max_bytes)
        used.over = "occupies more than " + std::to_string(caps.max_bytes) + " bytes";
    return !used.over.empty();
}

}  // namespace

asio::awaitable<used_space> tree_usage(unique_fd top, tree_caps caps, async::turns& turn, used_space used)
{
    std::vector<listing> levels;
    const auto deepest = std::min(caps.max_depth, deepest_walk);
    const auto enter = [&](unique_fd directory, int cause) {
        if (directory) {
            levels.emplace_back(std::move(directory));
            return;
        }
        // When this process has no descriptor to spare, that is not the tree's doing: the next look will tell.
        levels.clear();
        if (cause != EMFILE && cause != ENFILE && cause != ENOMEM) used.over = "holds a directory that cannot be read";
    };

    if (is_over(used, caps)) co_return used;
    enter(std::move(top), EBADF);
    while (!levels.empty() && used.over.empty()) {
        const auto* item = levels.back().next();
        if (!item) {
            levels.pop_back();
            continue;
        }
        const int directory = levels.back().directory();
        struct stat status{};
        if (::fstatat(directory, item->name, &status, AT_SYMLINK_NOFOLLOW) == 0) {  // else it has gone meanwhile
            ++used.inodes;
            used.bytes += static_cast<std::uint64_t>(status.st_blocks) * 512;
            if (!is_over(used, caps) && S_ISDIR(status.st_mode)) {
                if (levels.size() > deepest) {
                    used.over = "nests directories more than " + std::to_string(deepest) + " deep";
                    break;
                }
                auto inner = open_in(directory, item->name, O_RDONLY | O_DIRECTORY);
                const int cause = errno;
                if (inner || cause != ENOENT) enter(std::move(inner), cause);
            }
        }
        if (turn.over()) co_await turn.rest();
    }
    co_return used;
}

}  // namespace sandboxd::disk
