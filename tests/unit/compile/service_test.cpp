// The service with a toolchain that plays a part: on a disk that is full, and beside other machines.
#include "compile/service.hpp"

#include "compile/record.hpp"
#include "support/on_loop.hpp"
#include "support/temporary_directory.hpp"

#include <boost/asio/this_coro.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <sched.h>
#include <sys/mount.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

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

namespace {

// Other machines, as the test has them: what they have, and whose turn it is.
struct fleet final : artifacts::elsewhere, artifacts::leases {
    fleet(const asio::any_io_executor& executor, artifacts::store& mine) : store{mine}, waits{executor}, go{executor} {}

    struct held final : artifacts::leases::lease {
        explicit held(std::vector<std::string>& to) : told{to} {}
        ~held() override { told.emplace_back("given back"); }
        void made() override { told.emplace_back("made"); }
        std::vector<std::string>& told;
    };

    asio::awaitable<found> fetch(std::string id, client_key) override
    {
        told.emplace_back("fetch");
        if (!has_it) co_return found::nowhere;
        answer theirs;
        theirs.ok = true;
        const auto published = co_await store.publish(id, {}, to_record(theirs));
        co_return published ? found::here : found::unknown;
    }
    void share(const std::string&) override { told.emplace_back("share"); }
    asio::awaitable<bool> settled(std::string, std::chrono::steady_clock::duration) override { co_return true; }
    asio::awaitable<turn> take(std::string, async::stop_source& stop) override
    {
        told.emplace_back("take");
        const async::stop_callback wake{stop, [this](errc) { go.set(); }};
        waits.set();
        if (is_theirs) co_await go.wait();
        turn made{.others_had_it = is_theirs};
        if (gives) made.mine = std::make_unique<held>(told);
        co_return made;
    }

    artifacts::store& store;
    async::event waits;
    async::event go;
    bool is_theirs{false};
    bool gives{true};
    bool has_it{false};
    std::vector<std::string> told{};
};

using words = std::vector<std::string>;

// A service beside others, after its first compile.
struct beside_others {
    beside_others(const asio::any_io_executor& executor, toolchain_result part, const fs::path& room)
        : tasks{executor},
          plays{std::move(part)},
          store{{.root = room / "artifacts"}},
          gate{executor, tasks, {}, metrics},
          others{executor, store},
          served{executor, tasks, {.jobs = room / "jobs", .default_args = {}, .sources = {}, .disk = {}, .owner = {}},
                 plays,    store, gate,
                 metrics}
    {
        REQUIRE(store.open().has_value());
        served.share_with(others);
        served.take_turns(others);
        served.start();
    }

    asio::awaitable<result<answer>> compile(async::stop_source& stop, bool cache = true)
    {
        request what{.files = {}, .code = "int main(void) { return 0; }\n", .type = {}, .args = {}};
        what.cache = cache;
        return served.compile(std::move(what), stop);
    }
    std::uint64_t answers(const std::string& from)
    {
        return metrics.add_counter("sandboxd_cache_requests_total", "", "from=\"" + from + "\"").value();
    }

    metrics::registry metrics;
    async::task_group tasks;
    actor plays;
    artifacts::store store;
    admission::gate gate;
    fleet others;
    service served;
};

using visit = std::function<asio::awaitable<void>(beside_others&)>;
asio::awaitable<bool> with_others(toolchain_result part, fs::path room, visit what)
{
    beside_others all{co_await asio::this_coro::executor, std::move(part), room};
    co_await what(all);
    all.served.stop(errc::draining);
    co_await all.tasks.wait_empty();
    co_return true;
}

toolchain_result rejecting() { return failing("main.c:1:1: error: expected ';'\n" + driver + "(returned 1)\n"); }

}  // namespace

TEST_CASE("who has the lease compiles, says so, and gives it back", "[compile][service]")
{
    const test::temporary_directory room;
    test::on_loop(with_others(rejecting(), room / "a", [](beside_others& all) -> asio::awaitable<void> {
        async::stop_source stop;
        const auto got = co_await all.compile(stop);
        REQUIRE(got.has_value());
        CHECK_FALSE(got->cached);
        CHECK(all.others.told == words{"fetch", "take", "share", "made", "given back"});
        CHECK(all.answers("compiler") == 1);
        // What is here is asked of nobody.
        CHECK((co_await all.compile(stop))->cached);
        CHECK(all.others.told.size() == 5);
        // What must be fresh is everybody's own.
        CHECK_FALSE((co_await all.compile(stop, false))->cached);
        CHECK(all.others.told == words{"fetch", "take", "share", "made", "given back", "share"});
    }));
    // Nothing is to be kept of that.
    const auto limit = failing("", errc::timeout);
    test::on_loop(with_others(limit, room / "b", [](beside_others& all) -> asio::awaitable<void> {
        async::stop_source stop;
        const auto got = co_await all.compile(stop);
        REQUIRE(got.has_value());
        CHECK(all.others.told == words{"fetch", "take", "given back"});
    }));
}

TEST_CASE("who waits for another machine answers what that has made, else compiles", "[compile][service]")
{
    struct row {
        const char* what;
        bool has_it;
        bool gives;
        words told;
    };
    const row rows[] = {
        {"it is there", true, false, {"fetch", "take", "fetch"}},
        {"it died when it was done", true, true, {"fetch", "take", "fetch", "given back"}},
        {"it has failed", false, false, {"fetch", "take", "fetch", "share"}},
        {"it has died", false, true, {"fetch", "take", "fetch", "share", "made", "given back"}},
    };
    for (const auto& each : rows) {
        CAPTURE(each.what);
        const test::temporary_directory room;
        test::on_loop(with_others(rejecting(), room.path(), [&each](beside_others& all) -> asio::awaitable<void> {
            async::stop_source stop;
            all.others.is_theirs = true;
            all.others.gives = each.gives;
            std::vector<result<answer>> got;
            const auto ask = [&]() -> asio::awaitable<void> {
                auto end = co_await all.compile(stop);
                got.push_back(std::move(end));
            };
            // Callers here share the wait.
            all.tasks.spawn("compile", ask());
            all.tasks.spawn("compile", ask());
            co_await all.others.waits.wait();
            CHECK(all.gate.running() == 0);  // nobody else has to wait for it
            all.others.has_it = each.has_it;
            all.others.go.set();
            async::event never{co_await asio::this_coro::executor};
            while (got.size() < 2) co_await never.wait_for(std::chrono::milliseconds{1});
            for (const auto& one : got) {
                REQUIRE(one.has_value());
                CHECK(one->ok == each.has_it);
                CHECK(one->cached == each.has_it);
            }
            CHECK(all.others.told == each.told);
            CHECK(all.answers("compiler") == (each.has_it ? 0 : 1));
            CHECK(all.answers("remote") == (each.has_it ? 1 : 0));
            CHECK(all.answers("flight") == 1);
        }));
    }
}

TEST_CASE("who leaves while he waits for another machine has nothing compiled", "[compile][service]")
{
    const test::temporary_directory room;
    test::on_loop(with_others(rejecting(), room.path(), [](beside_others& all) -> asio::awaitable<void> {
        async::stop_source stop;
        all.others.is_theirs = true;
        result<answer> got{error{}};
        const auto ask = [&]() -> asio::awaitable<void> { got = co_await all.compile(stop); };
        all.tasks.spawn("compile", ask());
        co_await all.others.waits.wait();
        stop.request(errc::disconnected);
        async::event never{co_await asio::this_coro::executor};
        while (got.has_error() && got.error().code != errc::disconnected)
            co_await never.wait_for(std::chrono::milliseconds{1});
        CHECK(got.has_error());
        CHECK(all.answers("compiler") == 0);
        // Only then is its part of the work over.
        while (all.others.told.back() != "given back") co_await never.wait_for(std::chrono::milliseconds{1});
        CHECK(all.others.told == words{"fetch", "take", "given back"});
    }));
}
