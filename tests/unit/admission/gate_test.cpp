// The gate against real files that look like a cgroup's.
#include "admission/gate.hpp"

#include "support/captured_stderr.hpp"
#include "support/temporary_directory.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <catch2/catch_test_macros.hpp>

#include <deque>
#include <exception>
#include <fstream>
#include <optional>
#include <string>
#include <utility>

namespace asio = boost::asio;
namespace fs = std::filesystem;
using namespace sandboxd;
using namespace sandboxd::admission;
using namespace sandboxd::test;
using namespace std::chrono_literals;

namespace {

void write(const fs::path& file, std::string_view text)
{
    std::ofstream out{file, std::ios::binary};
    out << text;
    REQUIRE(out.flush());
}

constexpr client_key somebody{1};
constexpr client_key somebody_else{2};

struct caller {
    async::stop_source stop;
    std::optional<result<permit>> got;

    bool over() const { return got.has_value(); }
    bool admitted() const { return got && got->has_value(); }
    errc refused() const { return got && got->has_error() ? got->error().code : errc{}; }
};

struct house {
    explicit house(admission::gate_settings how) : entry{loop.get_executor(), tasks, std::move(how), metrics} {}

    asio::io_context loop;
    async::task_group tasks{loop.get_executor()};
    metrics::registry metrics;
    gate entry;
    std::deque<caller> callers;

    static asio::awaitable<void> call(gate& at, caller& as, client_key client)
    {
        auto got = co_await at.acquire(client, as.stop);
        as.got.emplace(std::move(got));
    }

    caller& arrive(client_key client = somebody)
    {
        auto& one = callers.emplace_back();
        asio::co_spawn(loop, call(entry, one, client), [](std::exception_ptr failed) {
            if (failed) std::rethrow_exception(failed);
        });
        settle();
        return one;
    }

    // Runs what is ready, and only that.
    void settle()
    {
        loop.restart();
        loop.poll();
    }

    // Runs until the gate has looked again and decided; fails by never returning (ctest's timeout).
    void run_until_over(const caller& one)
    {
        loop.restart();
        while (!one.over() && loop.run_one() > 0) {
        }
        settle();
    }

    // Runs until the gate has looked again `times` times: its retry timer is all that can be
    // waiting.
    void look_again(int times)
    {
        settle();
        loop.restart();
        while (times-- > 0) loop.run_one();
        settle();
    }

    std::string exposed(const std::string& name) const
    {
        const auto text = metrics.expose();
        const auto at = text.find("\n" + name + " ");
        if (at == std::string::npos) return "absent";
        const auto from = at + name.size() + 2;
        return text.substr(from, text.find('\n', from) - from);
    }
};

admission::gate_settings without_memory(gate_limits limits)
{
    return {.by_memory = false, .cgroup = {}, .limits = limits};
}

admission::gate_settings by_memory(const temporary_directory& cgroup, gate_limits limits)
{
    return {.by_memory = true, .cgroup = cgroup.path(), .limits = limits};
}

}  // namespace

TEST_CASE("memory.max and memory.current are read, and nothing else is believed", "[admission][gate]")
{
    struct row {
        std::optional<std::string> max;
        std::optional<std::string> current;
        std::optional<std::uint64_t> expected_max;
        std::uint64_t expected_current;
    };
    const row rows[] = {
        {"1000\n", "10\n", 1000, 10},
        {"1000", "0", 1000, 0},
        {"18446744073709551615\n", "18446744073709551615\n", 18446744073709551615ull, 18446744073709551615ull},
        {"max\n", "10\n", {}, 10},
        {"", "10\n", {}, 10},
        {"\n", "10\n", {}, 10},
        {"1000x\n", "10\n", {}, 10},
        {"x1000\n", "10\n", {}, 10},
        {"-1\n", "10\n", {}, 10},
        {"+1\n", "10\n", {}, 10},
        {"0x10\n", "10\n", {}, 10},
        {"1e3\n", "10\n", {}, 10},
        {"18446744073709551616\n", "10\n", {}, 10},
        {{}, "10\n", {}, 10},
        {"1000\n", "max\n", {}, 0},
        {"1000\n", "ten\n", {}, 0},
        {"1000\n", "-5\n", {}, 0},
        {"1000\n", "", {}, 0},
        {"1000\n", {}, {}, 0},
        {{}, {}, {}, 0},
    };
    for (const auto& row : rows) {
        CAPTURE(row.max.value_or("missing"), row.current.value_or("missing"));
        const temporary_directory cgroup;
        if (row.max) write(cgroup / "memory.max", *row.max);
        if (row.current) write(cgroup / "memory.current", *row.current);
        const auto reading = read_memory(cgroup.path());
        CHECK(reading.max == row.expected_max);
        CHECK(reading.current == row.expected_current);
    }
    CHECK_FALSE(read_memory("/nonexistent/cgroup").max);
    const temporary_directory odd;
    fs::create_directory(odd / "memory.max");
    write(odd / "memory.current", "1");
    CHECK_FALSE(read_memory(odd.path()).max);
}

TEST_CASE("jobs wait until memory.current has fallen, and start in order", "[admission][gate]")
{
    const temporary_directory cgroup;
    write(cgroup / "memory.max", "1000");
    write(cgroup / "memory.current", "950");
    house h{by_memory(cgroup, {.estimate_bytes = 100})};
    auto& first = h.arrive();
    auto& second = h.arrive();
    auto& third = h.arrive();
    CHECK_FALSE(first.over());
    CHECK(h.entry.queued() == 3);
    h.look_again(1);
    CHECK(h.entry.queued() == 3);

    write(cgroup / "memory.current", "800");
    h.run_until_over(first);
    CHECK(first.admitted());
    CHECK(second.admitted());
    CHECK_FALSE(third.over());
    CHECK(h.entry.running() == 2);
    CHECK(h.exposed("sandboxd_jobs_running") == "2");
    CHECK(h.exposed("sandboxd_jobs_queued") == "1");
    CHECK(h.exposed("sandboxd_memory_reserved_bytes") == "200");
    CHECK(h.exposed("sandboxd_memory_current_bytes") == "800");
    CHECK(h.exposed("sandboxd_memory_max_bytes") == "1000");

    write(cgroup / "memory.current", "700");
    h.run_until_over(third);
    CHECK(third.admitted());
    CHECK(h.entry.queued() == 0);
    for (auto& one : h.callers) one.got.reset();
    CHECK(h.entry.running() == 0);
    h.loop.restart();
    h.loop.run();  // returns: the retry timer is not left behind
    CHECK(h.tasks.size() == 0);
}

TEST_CASE("a newcomer that would fit waits behind the one that does not", "[admission][gate]")
{
    const temporary_directory cgroup;
    write(cgroup / "memory.max", "1000");
    write(cgroup / "memory.current", "950");
    house h{by_memory(cgroup, {.estimate_bytes = 100})};
    auto& first = h.arrive();
    write(cgroup / "memory.current", "900");
    auto& second = h.arrive();
    CHECK(first.admitted());  // the newcomer's arrival was the occasion, the turn was the other's
    CHECK_FALSE(second.over());
    second.stop.request(errc::disconnected);
    h.loop.restart();
    h.loop.run();
    CHECK(second.refused() == errc::disconnected);
    first.got.reset();
}

TEST_CASE("a job that ends lets the next one in at once", "[admission][gate]")
{
    house h{without_memory({.max_running = 1})};
    auto& first = h.arrive();
    auto& second = h.arrive();
    CHECK(first.admitted());
    CHECK_FALSE(second.over());
    first.got.reset();
    h.settle();  // without waiting for the retry timer
    CHECK(second.admitted());
    second.got.reset();
    CHECK(h.entry.running() == 0);
    h.loop.restart();
    h.loop.run();
}

TEST_CASE("whoever is stopped leaves the queue, and the next one moves up", "[admission][gate]")
{
    house h{without_memory({.max_queued = 2, .max_running = 1})};
    auto& running = h.arrive();
    auto& leaver = h.arrive();
    auto& next = h.arrive();
    leaver.stop.request(errc::disconnected);
    h.settle();
    CHECK(leaver.refused() == errc::disconnected);
    CHECK(h.entry.queued() == 1);
    running.got.reset();
    h.settle();
    CHECK(next.admitted());
    CHECK(h.entry.running() == 1);
    next.got.reset();
    h.loop.restart();
    h.loop.run();
    CHECK(h.entry.running() == 0);
}

TEST_CASE("whoever is stopped before arriving never queues", "[admission][gate]")
{
    house h{without_memory({})};
    auto& one = h.callers.emplace_back();
    one.stop.request(errc::draining);
    asio::co_spawn(h.loop, house::call(h.entry, one, somebody), [](std::exception_ptr) {});
    h.settle();
    CHECK(one.refused() == errc::draining);
    CHECK(h.entry.running() == 0);
    CHECK(h.entry.queued() == 0);
}

TEST_CASE("a reservation granted in the moment of the stop goes back", "[admission][gate]")
{
    house h{without_memory({.max_running = 1})};
    auto& running = h.arrive();
    auto& stopped = h.arrive();
    auto& next = h.arrive();
    running.got.reset();  // admits `stopped`, which has not heard of it yet
    stopped.stop.request(errc::disconnected);
    h.settle();
    CHECK(stopped.refused() == errc::disconnected);
    CHECK(next.admitted());
    CHECK(h.entry.running() == 1);
    next.got.reset();
    h.loop.restart();
    h.loop.run();
    CHECK(h.entry.running() == 0);
}

TEST_CASE("a stop that comes before the reservation leaves the queue all the same", "[admission][gate]")
{
    house h{without_memory({.max_running = 1})};
    auto& running = h.arrive();
    auto& stopped = h.arrive();
    stopped.stop.request(errc::disconnected);
    running.got.reset();  // in the same turn: the stopped one still stands in the queue
    h.settle();
    CHECK(stopped.refused() == errc::disconnected);
    CHECK(h.entry.running() == 0);
    CHECK(h.entry.queued() == 0);
    h.loop.restart();
    h.loop.run();
}

TEST_CASE("a full queue refuses at once and is counted", "[admission][gate]")
{
    house h{without_memory({.max_queued = 1, .max_running = 1})};
    auto& running = h.arrive();
    auto& queued = h.arrive();
    auto& refused = h.arrive();
    CHECK(running.admitted());
    CHECK_FALSE(queued.over());
    CHECK(refused.refused() == errc::queue_full);
    CHECK(h.exposed("sandboxd_jobs_refused_total{cause=\"queue_full\"}") == "1");
    queued.stop.request(errc::draining);
    running.got.reset();
    h.loop.restart();
    h.loop.run();
}

TEST_CASE("in a full queue the client with the most jobs gives way, and that is counted", "[admission][gate]")
{
    house h{without_memory({.max_queued = 2, .max_running = 1})};
    auto& running = h.arrive();
    auto& first = h.arrive();
    auto& newest = h.arrive();
    auto& other = h.arrive(somebody_else);
    CHECK(newest.refused() == errc::queue_full);
    CHECK_FALSE(first.over());
    CHECK_FALSE(other.over());
    CHECK(h.entry.queued() == 2);
    CHECK(h.exposed("sandboxd_jobs_refused_total{cause=\"queue_full\"}") == "1");
    running.got.reset();
    h.settle();
    CHECK(other.admitted());
    CHECK_FALSE(first.over());
    other.got.reset();
    h.settle();
    CHECK(first.admitted());
    first.got.reset();
    h.loop.restart();
    h.loop.run();
    CHECK(h.entry.running() == 0);
}

TEST_CASE("a reserved job starts while another client holds all others", "[admission][gate]")
{
    house h{without_memory({.max_queued = 1, .max_running = 1, .max_reserved = 1})};
    CHECK(h.arrive().admitted());
    auto& waiting = h.arrive();
    CHECK(h.arrive().refused() == errc::queue_full);
    CHECK(h.arrive(somebody_else).admitted());
    CHECK_FALSE(waiting.over());
    for (auto& one : h.callers)
        if (&one != &waiting) one.got.reset();
    h.settle();
    CHECK(waiting.admitted());
    waiting.got.reset();
    h.loop.restart();
    h.loop.run();
}

TEST_CASE("whoever waits too long is refused and counted", "[admission][gate]")
{
    house h{without_memory({.max_running = 1, .queue_timeout = 1ms})};
    auto& running = h.arrive();
    auto& late = h.arrive();
    h.run_until_over(late);
    CHECK(late.refused() == errc::queue_timeout);
    CHECK(h.entry.queued() == 0);
    CHECK(h.exposed("sandboxd_jobs_refused_total{cause=\"queue_timeout\"}") == "1");
    CHECK(h.exposed("sandboxd_jobs_refused_total{cause=\"queue_full\"}") == "0");
    running.got.reset();
}

TEST_CASE("without a readable limit memory gating is off, with one warning", "[admission][gate]")
{
    const temporary_directory cgroup;
    const captured_stderr captured;
    house h{by_memory(cgroup, {.estimate_bytes = 1u << 30})};
    CHECK(h.arrive().admitted());
    write(cgroup / "memory.max", "max");
    write(cgroup / "memory.current", "5");
    CHECK(h.arrive().admitted());
    const auto text = captured.text();
    const auto warning = text.find("memory gating is off");
    REQUIRE(warning != std::string::npos);
    CHECK(text.find(" warning ") < warning);
    CHECK(text.find(cgroup.path().native()) != std::string::npos);
    CHECK(text.find("memory gating is off", warning + 1) == std::string::npos);
    CHECK(h.exposed("sandboxd_memory_max_bytes") == "0");
    CHECK(h.exposed("sandboxd_memory_current_bytes") == "5");

    // A limit that appears later counts from then on.
    write(cgroup / "memory.max", "1000");
    auto& waiting = h.arrive();
    CHECK_FALSE(waiting.over());
    waiting.stop.request(errc::disconnected);
    h.settle();
    for (auto& one : h.callers) one.got.reset();
    h.loop.restart();
    h.loop.run();
}

TEST_CASE("without memory gating the files are not looked at", "[admission][gate]")
{
    const temporary_directory cgroup;
    write(cgroup / "memory.max", "1");
    write(cgroup / "memory.current", "1");
    const captured_stderr captured;
    house h{{.by_memory = false, .cgroup = cgroup.path(), .limits = {}}};
    CHECK(h.arrive().admitted());
    CHECK(h.exposed("sandboxd_memory_max_bytes") == "0");
    CHECK(captured.text().empty());
}

TEST_CASE("a permit that is moved is given back once", "[admission][gate]")
{
    house h{without_memory({})};
    auto& one = h.arrive();
    {
        permit moved{std::move(**one.got)};
        one.got.reset();
        CHECK(h.entry.running() == 1);
    }
    CHECK(h.entry.running() == 0);
}

TEST_CASE("memory is short when less than a tenth of it is available", "[admission]")
{
    const auto text = [](const char* total, const char* available) {
        return std::string{"MemTotal:       "} + total +
               " kB\nMemFree:           1000 kB\nMemAvailable:   " + available + " kB\nBuffers:  3 kB\n";
    };
    CHECK(memory_is_short(text("1000000", "99999")));
    CHECK_FALSE(memory_is_short(text("1000000", "100000")));
    CHECK_FALSE(memory_is_short("MemTotal:       1000000 kB\nMemFree:           1 kB\n"));
    CHECK_FALSE(memory_is_short(""));
}
