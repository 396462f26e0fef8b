#include "faas/files.hpp"

#include "artifacts/files.hpp"
#include "artifacts/remove_tree.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace sandboxd::faas {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using artifacts::io_error;

namespace {

constexpr std::size_t largest_manifest = 1u << 20;

result<void> make_directories(const fs::path& path)
{
    // Modes are set, whatever the umask: the program runs under another uid.
    std::error_code ec;
    if (fs::is_directory(path, ec)) return {};
    if (auto above = make_directories(path.parent_path()); !above) return above;
    if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) return io_error("make", path.native(), errno);
    ::chmod(path.c_str(), 0755);
    return {};
}

result<void> write_file(const fs::path& path, std::string_view bytes, mode_t mode)
{
    if (auto made = make_directories(path.parent_path()); !made) return made;
    const unique_fd file{::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)};
    if (!file || !artifacts::write_all(file.get(), bytes) || ::fchmod(file.get(), mode) != 0 ||
        ::fsync(file.get()) != 0)
        return io_error("write", path.native(), errno);
    return {};
}

void sync_directory(const fs::path& path)
{
    const unique_fd directory{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (directory) ::fsync(directory.get());
}

void discard(const fs::path& path)
{
    std::error_code ignored;  // what stays is found by the next start
    fs::remove_all(path, ignored);
}

std::vector<std::string> files_below(const fs::path& top)
{
    std::vector<std::string> found;
    std::error_code ec;
    for (fs::recursive_directory_iterator at{top, ec}, end; !ec && at != end; at.increment(ec))
        if (at->is_regular_file(ec)) found.push_back(at->path().lexically_relative(top).native());
    std::ranges::sort(found);
    return found;
}

}  // namespace

result<file_store> file_store::open(fs::path root)
{
    auto directory = artifacts::make_root(root, 0711);
    if (!directory) return directory.error();
    file_store made{std::move(root), std::move(*directory)};
    std::error_code ec;
    for (fs::directory_iterator at{made.root_, ec}, end; !ec && at != end; at.increment(ec)) {
        const auto own = at->path();
        std::error_code missing;
        if (own.filename().native().starts_with('.') || !fs::exists(own / "manifest.json", missing)) {
            if (auto removed = artifacts::remove_tree(made.directory_.get(), own.filename().native()); !removed)
                return removed.error();
        } else if (fs::exists(own / "ready", missing)) {
            if (auto finished = made.finish(own); !finished) return finished.error();
        }
        discard(own / "next");
    }
    if (ec) return error{errc::io, made.root_.native() + ": " + ec.message()};
    return made;
}

result<std::vector<file_store::entry>> file_store::load() const
{
    std::vector<entry> found;
    std::error_code ec;
    for (fs::directory_iterator at{root_, ec}, end; !ec && at != end; at.increment(ec)) {
        const auto id = at->path().filename().native();
        const unique_fd own = artifacts::open_in(directory_.get(), id.c_str(), O_RDONLY | O_DIRECTORY);
        std::string text;
        if (own && artifacts::read_small(own.get(), "manifest.json", largest_manifest, text))
            found.push_back({id, std::move(text)});
    }
    if (ec) return error{errc::io, root_.native() + ": " + ec.message()};
    std::ranges::sort(found, {}, &entry::id);
    return found;
}

result<void> file_store::create(const std::string& id, std::string_view manifest,
                                const std::vector<deployment_file>& files)
{
    const auto own = root_ / id;
    const auto write = [&]() -> result<void> {
        if (::mkdir(own.c_str(), 0711) != 0) return io_error("make", own.native(), errno);
        ::chmod(own.c_str(), 0711);
        if (auto made = make_directories(own / "app"); !made) return made;
        for (const auto& file : files)
            if (auto written = write_file(own / "app" / file.path, file.content, 0644); !written) return written;
        return write_manifest(id, manifest);
    };
    auto written = write();
    if (!written)
        discard(own);
    else
        sync_directory(root_);
    return written;
}

result<void> file_store::write_manifest(const std::string& id, std::string_view manifest)
{
    const auto own = root_ / id;
    const auto beside = own / ".manifest.json";
    ::unlink(beside.c_str());
    if (auto written = write_file(beside, manifest, 0600); !written) return written;
    if (::rename(beside.c_str(), (own / "manifest.json").c_str()) != 0)
        return io_error("rename", beside.native(), errno);
    sync_directory(own);
    return {};
}

result<void> file_store::update(const std::string& id, const std::vector<deployment_file>& files)
{
    const auto own = root_ / id;
    const auto next = own / "next";
    discard(next);
    const auto write = [&]() -> result<void> {
        if (auto made = make_directories(next); !made) return made;
        for (const auto& file : files)
            if (auto written = write_file(next / file.path, file.content, 0644); !written) return written;
        // What could fail while files are moved is done before: the directories.
        for (const auto& file : files)
            if (auto made = make_directories((own / "app" / file.path).parent_path()); !made) return made;
        if (::rename(next.c_str(), (own / "ready").c_str()) != 0) return io_error("rename", next.native(), errno);
        return {};
    };
    if (auto written = write(); !written) {
        discard(next);
        return written;
    }
    sync_directory(own);
    return finish(own);
}

result<void> file_store::finish(const fs::path& own)
{
    const auto ready = own / "ready";
    for (const auto& path : files_below(ready)) {
        const auto to = own / "app" / path;
        if (auto made = make_directories(to.parent_path()); !made) return made;
        if (::rename((ready / path).c_str(), to.c_str()) != 0) return io_error("rename", to.native(), errno);
    }
    sync_directory(own / "app");
    discard(ready);
    return {};
}

result<std::vector<std::string>> file_store::paths(const std::string& id) const { return files_below(app_path(id)); }

std::string file_store::read(const std::string& id, const std::string& path, std::size_t most) const
{
    std::string text;
    const unique_fd app{::open(app_path(id).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!app || !artifacts::read_small(app.get(), path.c_str(), most, text)) return {};
    return text;
}

std::size_t file_store::bytes(const std::string& id) const
{
    std::size_t sum = 0;
    std::error_code ec;
    for (fs::recursive_directory_iterator at{app_path(id), ec}, end; !ec && at != end; at.increment(ec))
        if (at->is_regular_file(ec)) sum += static_cast<std::size_t>(at->file_size(ec));
    return sum;
}

asio::awaitable<result<void>> file_store::remove(std::string id)
{
    const std::string gone = ".gone-" + id + "-" + std::to_string(++removed_);
    if (::renameat(directory_.get(), id.c_str(), directory_.get(), gone.c_str()) != 0 && errno != ENOENT)
        co_return io_error("rename", id, errno);
    co_return co_await artifacts::remove_tree_in_turns(directory_.get(), gone);
}

}  // namespace sandboxd::faas
