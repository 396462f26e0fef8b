// What the tests of files and trees share: files by one line, and coroutines run to their end.
#pragma once

#include "base/errc.hpp"
#include "base/unique_fd.hpp"
#include "support/temporary_directory.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <catch2/catch_tostring.hpp>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

// Says what went wrong when a CHECK of a result fails.
template <class T>
struct Catch::StringMaker<sandboxd::result<T>> {
    static std::string convert(const sandboxd::result<T>& value)
    {
        if (value) return "a value";
        return std::string{sandboxd::name(value.error().code)} + ": " + value.error().message;
    }
};

namespace sandboxd::test {

namespace fs = std::filesystem;

inline void write_file(const fs::path& path, std::string_view bytes)
{
    std::ofstream file{path, std::ios::binary};
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!file.flush()) throw std::runtime_error("cannot write " + path.native());
}

inline std::string read_file(const fs::path& path)
{
    std::ifstream file{path, std::ios::binary};
    return {std::istreambuf_iterator<char>{file}, {}};
}

inline unique_fd open_directory(const fs::path& path)
{
    unique_fd fd{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!fd) throw std::runtime_error("cannot open " + path.native());
    return fd;
}

inline std::vector<std::string> names_in(const fs::path& path)
{
    std::vector<std::string> names;
    for (const auto& item : fs::directory_iterator{path}) names.push_back(item.path().filename().native());
    std::sort(names.begin(), names.end());
    return names;
}

// Runs one coroutine, and whatever it posts, to its end.
template <class T>
T run(boost::asio::io_context& context, boost::asio::awaitable<T> work)
{
    std::optional<T> value;
    std::exception_ptr failure;
    boost::asio::co_spawn(context, std::move(work), [&](std::exception_ptr e, T v) {
        failure = e;
        if (!e) value.emplace(std::move(v));
    });
    context.restart();
    context.run();
    if (failure) std::rethrow_exception(failure);
    return std::move(*value);
}

inline void run(boost::asio::io_context& context, boost::asio::awaitable<void> work)
{
    std::exception_ptr failure;
    boost::asio::co_spawn(context, std::move(work), [&](std::exception_ptr e) { failure = e; });
    context.restart();
    context.run();
    if (failure) std::rethrow_exception(failure);
}

// Runs `action` in a child process as another user; true when it returned true there.
template <class Action>
bool as_user(uid_t uid, Action action)
{
    const auto child = ::fork();
    if (child == 0) {
        bool fine = false;
        try {
            fine = ::setgid(uid) == 0 && ::setuid(uid) == 0 && action();
        } catch (...) {
        }
        ::_exit(fine ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

inline bool is_root() { return ::geteuid() == 0; }

}  // namespace sandboxd::test
