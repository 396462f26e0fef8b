#include "async/disk_sync.hpp"

#include "base/unique_fd.hpp"
#include "support/temporary_directory.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <catch2/catch_test_macros.hpp>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

using namespace sandboxd;
namespace asio = boost::asio;

namespace {

// Starts to sync each, and runs the loop until nothing is left to do.
std::vector<int> synced(asio::io_context& io, const std::vector<unique_fd>& files)
{
    std::vector<int> faults(files.size(), -1);
    for (std::size_t i = 0; i < files.size(); ++i)
        asio::co_spawn(io, async::sync_to_disk(files[i].get()), [&faults, i](std::exception_ptr thrown, int fault) {
            CHECK_FALSE(thrown);
            faults[i] = fault;
        });
    io.run();
    io.restart();
    return faults;
}

std::vector<unique_fd> new_files(const test::temporary_directory& root, int count)
{
    std::vector<unique_fd> made;
    for (int i = 0; i < count; ++i) {
        made.emplace_back(
            ::open((root.path() / std::to_string(i)).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
        REQUIRE(made.back());
        REQUIRE(::write(made.back().get(), "x", 1) == 1);
    }
    return made;
}

bool kernel_has_queues()
{
    aio_context_t context = 0;
    if (::syscall(SYS_io_setup, 1U, &context) != 0) return false;
    ::syscall(SYS_io_destroy, context);
    return true;
}

}  // namespace

TEST_CASE("files and directories are synced, more at once than the kernel's queue takes, and faults are told")
{
    const test::temporary_directory root;
    asio::io_context io;
    auto files = new_files(root, 400);
    files.emplace_back(::open(root.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    CHECK(synced(io, files) == std::vector<int>(files.size(), 0));

    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    std::vector<unique_fd> pipe;
    pipe.emplace_back(ends[0]);
    pipe.emplace_back(ends[1]);
    CHECK(synced(io, pipe) == std::vector<int>(2, EINVAL));
    std::vector<unique_fd> nothing(1);
    CHECK(synced(io, nothing) == std::vector<int>(1, EBADF));
    // Also after errors.
    CHECK(synced(io, new_files(test::temporary_directory{}, 3)) == std::vector<int>(3, 0));
}

TEST_CASE("others are served while a file is synced")
{
    if (!kernel_has_queues()) SKIP("the kernel grants no asynchronous I/O here (fs.aio-max-nr, or a seccomp filter)");
    const test::temporary_directory root;
    asio::io_context io;
    const auto files = new_files(root, 1);
    bool over = false;
    bool over_before_others = true;
    asio::co_spawn(io, async::sync_to_disk(files[0].get()), [&over](std::exception_ptr, int) { over = true; });
    asio::post(io, [&] { over_before_others = over; });
    io.run();
    CHECK(over);
    CHECK_FALSE(over_before_others);
}
