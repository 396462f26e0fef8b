#include "disk/take_over.hpp"

#include "base/text.hpp"
#include "disk/files.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

namespace sandboxd::disk {

namespace asio = boost::asio;

namespace {

constexpr std::size_t names_taken_a_turn = 256;
constexpr std::size_t deepest_to_take = 64;

// False with errno set.
bool take_directory(int directory)
{
    return ::fchown(directory, ::geteuid(), ::getegid()) == 0 && ::fchmod(directory, 0755) == 0;
}

bool take_file(int directory, const char* name, const struct stat& seen)
{
    if (S_ISLNK(seen.st_mode)) return ::fchownat(directory, name, ::geteuid(), ::getegid(), AT_SYMLINK_NOFOLLOW) == 0;
    if (!S_ISREG(seen.st_mode)) {
        errno = EINVAL;
        return false;
    }
    const auto file = open_in(directory, name, O_RDONLY | O_NONBLOCK);
    // The owner first: changing it takes set-user-id away, and a mode is the owner's to change.
    return file && ::fchown(file.get(), ::geteuid(), ::getegid()) == 0 &&
           ::fchmod(file.get(), (seen.st_mode & S_IXUSR) != 0 ? 0755 : 0644) == 0;
}

}  // namespace

asio::awaitable<result<void>> take_over_in_turns(int parent, std::string name)
{
    auto top = open_in(parent, name.c_str(), O_RDONLY | O_DIRECTORY);
    if (!top || !take_directory(top.get())) co_return io_error("take over", in_quotes(name), errno);
    std::vector<listing> levels;
    levels.emplace_back(std::move(top));
    for (std::size_t done = 1; !levels.empty(); ++done) {
        if (done % names_taken_a_turn == 0) co_await asio::post(asio::use_awaitable);
        const auto* item = levels.back().next();
        if (!item) {
            if (const int cause = levels.back().failure(); cause != 0)
                co_return io_error("take over", in_quotes(name), cause);
            levels.pop_back();
            continue;
        }
        const int directory = levels.back().directory();
        const std::string entry = item->name;
        struct stat seen{};
        if (::fstatat(directory, entry.c_str(), &seen, AT_SYMLINK_NOFOLLOW) != 0)
            co_return io_error("take over", in_quotes(entry), errno);
        if (!S_ISDIR(seen.st_mode)) {
            if (!take_file(directory, entry.c_str(), seen)) co_return io_error("take over", in_quotes(entry), errno);
            continue;
        }
        if (levels.size() == deepest_to_take) co_return io_error("take over", in_quotes(entry), ELOOP);
        auto inner = open_in(directory, entry.c_str(), O_RDONLY | O_DIRECTORY);
        if (!inner || !take_directory(inner.get())) co_return io_error("take over", in_quotes(entry), errno);
        levels.emplace_back(std::move(inner));
    }
    co_return result<void>{};
}

}  // namespace sandboxd::disk
