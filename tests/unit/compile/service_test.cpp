// The service with a toolchain that plays a part, on a disk that is full.
#include "compile/service.hpp"

#include "support/on_loop.hpp"
#include "support/temporary_directory.hpp"

#include <boost/asio/this_coro.hpp>

#include <catch2/catch_test_macros.hpp>
#include <sched.h>
#include <sys/mount.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>

namespace asio = boost::asio;
namespace fs = std::filesystem;
using namespace sandboxd;
using namespace sandboxd::compile;

namespace {

// Compiles the service's own hello; of everything else it says what it was told to say.
class actor final : public toolchain {
public:
    explicit actor(toolchain_result part) : part_{std::move(part)} {}

    asio::awaitable<result<toolchain_info>> find() override
    {
        toolchain_info info{.version = "3.1.6", .numbers = {3, 1, 6}, .identity = "actor"};
        co_return info;
    }

    asio::awaitable<result<toolchain_result>> run(toolchain_job job, async::stop_source&) override
    {
        if (++runs_ > 1) co_return part_;
        std::ofstream{job.directory / "out" / "app.js"} << "1";
        toolchain_result fine{.succeeded = true, .log = {}, .ended = "exit status 0", .steps = {}, .usage = {}};
        co_return fine;
    }

private:
    toolchain_result part_;
    int runs_{0};
};

toolchain_result failing(std::string log, std::optional<errc> limit = {})
{
    return {
        .succeeded = false, .log = std::move(log), .ended = "exit status 1", .limit = limit, .steps = {}, .usage = {}};
}

// What a job comes to whose job directory is made in `jobs`.
asio::awaitable<result<answer>> compile_with(toolchain_result part, fs::path jobs, fs::path artifacts)
{
    const auto executor = co_await asio::this_coro::executor;
    metrics::registry metrics;
    async::task_group tasks{executor};
    actor plays{std::move(part)};
    artifacts::store store{{.root = std::move(artifacts)}};
    if (const auto opened = store.open(); !opened) co_return opened.error();
    admission::gate gate{executor, tasks, {}, metrics};
    service_settings how{.jobs = std::move(jobs), .default_args = {}, .sources = {}, .disk = {}, .owner = {}};
    service served{executor, tasks, std::move(how), plays, store, gate, metrics};
    served.start();
    async::stop_source stop;
    request what{.files = {}, .code = "int main(void) { return 0; }\n", .type = {}, .args = {}};
    auto got = co_await served.compile(std::move(what), stop);
    // Only what can be told from the source is kept.
    if (got && !got->ok && got->diagnostics.items.empty()) CHECK(store.stock().entries == 0);
    served.stop(errc::draining);
    co_await tasks.wait_empty();
    co_return got;
}

// A disk that has hardly any room left, in a mount namespace of this process' own.
class small_disk {
public:
    small_disk()
    {
        if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            ::mount("tmpfs", where_.path().c_str(), "tmpfs", 0, "size=4m,mode=0755") != 0)
            SKIP("no disk can be mounted here: " << std::strerror(errno));
    }
    ~small_disk() { ::umount2(where_.path().c_str(), MNT_DETACH); }
    small_disk(const small_disk&) = delete;
    small_disk& operator=(const small_disk&) = delete;

    fs::path jobs() const { return where_ / "jobs"; }

private:
    test::temporary_directory where_;
};

const std::string driver = "emcc: error: '/usr/bin/wasm-ld-14 -o ../out/app.wasm main_0.o' failed ";

}  // namespace

TEST_CASE("a job that fails on a full disk is not the job's failure", "[compile][service]")
{
    const small_disk disk;
    const test::temporary_directory room;
    const toolchain_result parts[] = {
        // However it shows: in nobody's words, in the linker's death, in a tool's words, in a file that is missing.
        failing(driver + "(returned 1)\n"),
        failing("Stack dump:\n0" + driver + "(received SIGBUS (-7))\n"),
        failing("OSError: [Errno 28] No space left on device\n", errc::disk_limit),
        failing(""),
        {.succeeded = true, .log = {}, .ended = "exit status 0", .steps = {}, .usage = {}},
    };
    for (const auto& part : parts) {
        INFO(part.log);
        const auto got = test::on_loop(compile_with(part, disk.jobs(), room / "artifacts"));
        REQUIRE(got.has_error());
        CHECK(got.error().code == errc::io);

        // The same where there is room.
        const auto other = test::on_loop(compile_with(part, room / "jobs", room / "artifacts"));
        REQUIRE(other.has_value());
        CHECK_FALSE(other->ok);
        CHECK(other->code == part.limit.value_or(errc::compile_error));
    }
}

TEST_CASE("an error in the source and a limit of the job are told on a full disk, too", "[compile][service]")
{
    const small_disk disk;
    const test::temporary_directory room;
    const auto wrong = failing("main.c:1:1: error: expected ';'\n" + driver + "(returned 1)\n");
    const auto no = test::on_loop(compile_with(wrong, disk.jobs(), room / "artifacts"));
    REQUIRE(no.has_value());
    CHECK(no->code == errc::compile_error);

    const auto greedy = failing("LLVM ERROR: out of memory\n", errc::memory_limit);
    const auto limit = test::on_loop(compile_with(greedy, disk.jobs(), room / "others"));
    REQUIRE(limit.has_value());
    CHECK(limit->code == errc::memory_limit);
}
