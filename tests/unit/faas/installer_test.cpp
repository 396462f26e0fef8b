// Who installs when: over a jail that is none, and tells what it is asked to install.
#include "faas/installer.hpp"

#include "base/unique_fd.hpp"
#include "support/stand_in_jail.hpp"
#include "support/temporary_directory.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <climits>
#include <deque>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace asio = boost::asio;
namespace fs = std::filesystem;
using namespace sandboxd;
using namespace sandboxd::test;

namespace {

constexpr client_key many{1};
constexpr client_key few{2};

// A file below so many directories that no path can name it.
void make_deep_file(const fs::path& top)
{
    unique_fd at{::open(top.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    const std::string name(250, 'd');
    for (std::size_t length = 0; length < PATH_MAX; length += name.size()) {
        REQUIRE(::mkdirat(at.get(), name.c_str(), 0755) == 0);
        at = unique_fd{::openat(at.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    }
    REQUIRE(unique_fd{::openat(at.get(), "file", O_CREAT | O_WRONLY | O_CLOEXEC, 0644)});
}

// Notes the package that is to be installed, and "installs" it when told so.
class pretended_jail final : public stand_in_jail {
public:
    asio::awaitable<result<process::outcome>> run(sandboxd::jail::spec what, process::child_limits,
                                                  async::stop_source& stop, process::output_taker*) override
    {
        if (cannot_run) co_return *cannot_run;
        const auto place = std::ranges::find(what.mounts, "/install", &sandboxd::jail::mount::target);
        REQUIRE(place != what.mounts.end());
        const fs::path directory{place->source};
        std::ifstream in{directory / "package.json"};
        const std::string manifest{std::istreambuf_iterator<char>{in}, {}};
        begun += manifest.at(manifest.find("pkg-") + 4);
        for (int i = 0; i < unpacks; ++i) std::ofstream{directory / std::to_string(i)};
        auto& end = ends.emplace_back(co_await asio::this_coro::executor);
        {
            const async::stop_callback on_stop{stop, [&end](errc) { end.set(); }};
            co_await end.wait();
        }
        fs::create_directory(directory / "node_modules");
        for (int i = 0; i < leaves; ++i) std::ofstream{directory / "node_modules" / std::to_string(i)};
        // With --production Bun takes its lock file as it is, and writes none.
        const bool is_frozen = std::ranges::count(what.argv, "--production") > 0;
        const bool is_bun = std::ranges::count(what.argv, "/bin/bun") > 0;
        if (lock && !is_frozen)
            std::ofstream{directory / (is_bun ? "bun.lock" : "node_modules/.package-lock.json")} << *lock;
        if (leaves_deep_file) make_deep_file(directory / "node_modules");
        process::outcome over{};
        over.status = process::exited{0};
        co_return over;
    }

    std::string begun;
    std::deque<async::event> ends;
    int unpacks{0};  // files, while it runs
    int leaves{0};   // and of the packages, at its end; npm's lock file is one more
    std::optional<std::string> lock{"{}"};
    bool leaves_deep_file{false};
    std::optional<error> cannot_run;
};

class pretended_user final : public faas::package_user {
public:
    faas::package_needs needs() const override { return now; }
    void gives_up(const std::string& key) override { given_up.push_back(key); }

    faas::package_needs now;
    std::vector<std::string> given_up;
};

struct caller {
    async::stop_source stop;
    std::optional<result<fs::path>> got;

    bool installed() const { return got && got->has_value(); }
    std::string said() const { return got && got->has_error() ? got->error().message : std::string{}; }
    errc refused() const { return got && got->has_error() ? got->error().code : errc{}; }
};

class house {
public:
    explicit house(std::size_t most_queued, std::uint64_t most_files = 100, bool by_bun = false,
                   std::size_t most_running = 1, std::uint64_t most_sets = 4096)
    {
        faas::installer_settings how;
        how.root = own_ / "packages";
        how.client = faas::install_client{
            .bun = by_bun, .version = "1", .argv = {by_bun ? "/bin/bun" : "/bin/npm"}, .mounts = {}};
        how.init = "/nowhere/sandboxd-init";
        how.max_running = most_running;
        how.max_queued = most_queued;
        how.max_files = most_files;
        how.max_total_bytes = most_sets << 20;  // each counts as a megabyte
        how.max_client_bytes = how.max_total_bytes / 2;
        installs_.emplace(loop_.get_executor(), tasks_, wall, std::move(how), metrics_, user);
        REQUIRE(installs_->open().has_value());
    }
    ~house()
    {
        for (auto& one : callers_) one.stop.request(errc::draining);
        loop_.restart();
        loop_.run();
    }
    house(const house&) = delete;
    house& operator=(const house&) = delete;

    caller& ask(const client_key& client, char package)
    {
        auto& one = callers_.emplace_back();
        asio::co_spawn(loop_, call(*installs_, only(package), client, one), [](std::exception_ptr failed) {
            if (failed) std::rethrow_exception(failed);
        });
        settle();
        return one;
    }

    void leave(caller& one)
    {
        one.stop.request(errc::disconnected);
        settle();
    }

    // The install that has begun as the nth ends.
    void finish(std::size_t nth, const caller& whose)
    {
        wall.ends.at(nth).set();
        wait_for(whose);
    }
    // Of its end, only so many steps of the loop.
    void begin_to_finish(std::size_t nth, std::size_t steps)
    {
        wall.ends.at(nth).set();
        loop_.restart();
        for (; steps > 0; --steps) loop_.poll_one();
    }
    void wait_for(const caller& whose)
    {
        loop_.restart();
        while (!whose.got && loop_.run_one() > 0) {
        }
        settle();
    }

    std::uint64_t failures()
    {
        return metrics_.add_counter("sandboxd_faas_installs_total", "", "end=\"failed\"").value();
    }

    std::string key_of(char package) const { return installs_->key_of(only(package)); }
    bool has(char package) const { return installs_->has(key_of(package)); }
    void runs(char package, std::set<client_key> clients) { user.now.running[key_of(package)] = std::move(clients); }
    // Installs a set, which nobody needs.
    void install(char package)
    {
        const auto nth = wall.ends.size();
        const auto& one = ask(many, package);
        finish(nth, one);
        REQUIRE(one.installed());
    }

    pretended_jail wall;
    pretended_user user;

private:
    static faas::text_map only(char package) { return {{std::string{"pkg-"} + package, "1.0.0"}}; }

    static asio::awaitable<void> call(faas::installer& at, faas::text_map packages, client_key client, caller& as)
    {
        auto got = co_await at.ensure(std::move(packages), client, as.stop);
        as.got.emplace(std::move(got));
    }

    void settle()
    {
        loop_.restart();
        loop_.poll();
    }

    temporary_directory own_;
    asio::io_context loop_;
    async::task_group tasks_{loop_.get_executor()};
    metrics::registry metrics_;
    std::optional<faas::installer> installs_;
    std::deque<caller> callers_;
};

}  // namespace

TEST_CASE("installs are fair between clients", "[faas][installer]")
{
    house h{9};
    auto& a = h.ask(many, 'a');
    auto& b = h.ask(many, 'b');
    auto& c = h.ask(many, 'c');
    auto& d = h.ask(few, 'd');
    CHECK(h.wall.begun == "a");
    h.finish(0, a);
    REQUIRE(h.wall.begun == "ad");  // else the next would wait for an install that has not begun
    h.finish(1, d);
    h.finish(2, b);
    CHECK(h.wall.begun == "adbc");
    h.finish(3, c);
    for (const auto* one : {&a, &b, &c, &d}) CHECK(one->installed());
    // What is there waits for nobody.
    CHECK(h.ask(few, 'a').installed());
}

TEST_CASE("a full line of installs is shared between clients", "[faas][installer]")
{
    house h{2};
    auto& a = h.ask(many, 'a');
    auto& b = h.ask(many, 'b');
    auto& c = h.ask(many, 'c');
    CHECK(h.ask(many, 'd').refused() == errc::queue_full);
    auto& e = h.ask(few, 'e');
    CHECK(c.refused() == errc::queue_full);
    h.finish(0, a);
    h.finish(1, e);
    h.finish(2, b);
    CHECK(h.wall.begun == "aeb");
    for (const auto* one : {&a, &b, &e}) CHECK(one->installed());
}

TEST_CASE("the same packages for several clients are in line for each of them", "[faas][installer]")
{
    house h{9};
    auto& a = h.ask(many, 'a');
    auto& b = h.ask(many, 'b');
    auto& c = h.ask(many, 'c');
    auto& joined = h.ask(few, 'c');
    h.leave(c);
    CHECK(c.refused() == errc::disconnected);
    h.finish(0, a);
    REQUIRE(h.wall.begun == "ac");
    h.finish(1, joined);
    CHECK(joined.installed());
    CHECK_FALSE(b.got);
}

TEST_CASE("an install has as many files as the key says, and twice as many while it runs", "[faas][installer]")
{
    house h{9, 3};
    h.wall.leaves = 2;
    auto& fits = h.ask(many, 'a');
    h.finish(0, fits);
    CHECK(fits.installed());
    h.wall.leaves = 3;
    auto& more = h.ask(many, 'b');
    h.finish(1, more);
    CHECK(more.refused() == errc::install_failed);
    CHECK(more.said().find("faas.maxInstallFiles") != std::string::npos);
    CHECK(h.failures() == 1);
    // Nobody ends it but the limit.
    h.wall.unpacks = 6;
    auto& runs = h.ask(many, 'c');
    h.wait_for(runs);
    CHECK(runs.refused() == errc::install_failed);
    CHECK(runs.said().find("faas.maxInstallFiles") != std::string::npos);
    CHECK(h.failures() == 2);
}

TEST_CASE("packages whose paths are too long to be looked at are refused", "[faas][installer]")
{
    house h{9};
    h.wall.leaves_deep_file = true;
    auto& deep = h.ask(many, 'a');
    h.finish(0, deep);
    CHECK(deep.refused() == errc::install_failed);
    CHECK(deep.said().find("too long: dddd") != std::string::npos);
    CHECK(deep.said().size() < 300);
}

TEST_CASE("packages are kept when a lock file says that they come from the registry", "[faas][installer]")
{
    for (const bool by_bun : {false, true}) {
        CAPTURE(by_bun);
        house h{9, 100, by_bun};
        h.wall.lock =
            by_bun ? R"("a": ["a@1.0.0", "", {}, "sha512-x"])" : R"({"resolved": "https://registry.npmjs.org/a"})";
        auto& good = h.ask(many, 'a');
        h.finish(0, good);
        CHECK(good.installed());
        h.wall.lock = by_bun ? R"("b": ["b@./b.tgz", {}, "sha512-x"])" : R"({"resolved": "file:b.tgz"})";
        auto& elsewhere = h.ask(many, 'b');
        h.finish(1, elsewhere);
        CHECK(elsewhere.refused() == errc::install_failed);
        CHECK(elsewhere.said().find("b.tgz") != std::string::npos);
        h.wall.lock.reset();
        auto& unknown = h.ask(many, 'c');
        h.finish(2, unknown);
        CHECK(unknown.refused() == errc::install_failed);
        CHECK(unknown.said().find("wrote no lock file") != std::string::npos);
    }
}

TEST_CASE("why an install's jail cannot be made is not told to clients", "[faas][installer]")
{
    house h{9};
    h.wall.cannot_run = error{errc::unavailable, "/srv/of-this-host does not exist"};
    auto& one = h.ask(many, 'a');
    h.wait_for(one);
    CHECK(one.refused() == errc::unavailable);
    CHECK(one.said() == sentence(errc::unavailable));
}

TEST_CASE("an install that everybody has left does not fail the next one of the same packages", "[faas][installer]")
{
    // The caller leaves after each step of the install's end.
    for (std::size_t steps = 0;; ++steps) {
        CAPTURE(steps);
        REQUIRE(steps < 500);
        house h{9, 100, false, 2};
        h.wall.lock = std::string(8u << 20, ' ');  // which takes several turns to look through
        auto& left = h.ask(many, 'a');
        h.begin_to_finish(0, steps);
        if (left.got) break;
        left.stop.request(errc::disconnected);
        auto& next = h.ask(few, 'a');
        h.wait_for(left);
        if (!next.got) h.finish(1, next);
        INFO(next.said());
        REQUIRE(next.installed());
    }
}

TEST_CASE("packages that nothing running needs make room, those of no deployment first", "[faas][installer]")
{
    house h{9, 100, false, 1, 3};
    for (const char package : {'a', 'b', 'c'}) h.install(package);
    h.runs('a', {many});
    h.user.now.deployed = {{h.key_of('a'), {many}}, {h.key_of('b'), {few}}};
    h.install('d');
    CHECK_FALSE(h.has('c'));
    h.user.now.deployed[h.key_of('d')] = {few};
    // Of two deployments that do not run, the one that was used longer ago.
    h.install('e');
    CHECK_FALSE(h.has('b'));
    CHECK(h.user.given_up == std::vector{h.key_of('c'), h.key_of('b')});

    h.runs('d', {few});
    h.runs('e', {client_key{}});
    auto& more = h.ask(many, 'f');
    h.finish(5, more);
    CHECK(more.refused() == errc::install_failed);
    CHECK(more.said().find("faas.maxPackagesMB") != std::string::npos);
    for (const char package : {'a', 'd', 'e'}) CHECK(h.has(package));
}

TEST_CASE("packages of who has the most that does not run make room first", "[faas][installer]")
{
    house h{9, 100, false, 1, 3};
    for (const char package : {'a', 'b', 'c'}) h.install(package);
    h.user.now.deployed = {{h.key_of('a'), {few}}, {h.key_of('b'), {many}}, {h.key_of('c'), {many}}};
    h.install('d');
    // Not the one that was used longest ago.
    CHECK(h.has('a'));
    CHECK_FALSE(h.has('b'));
    // Nothing goes where that would not be enough.
    h.runs('c', {many});
    h.runs('d', {few});
    h.runs('e', {client_key{}});
    h.install('e');
    CHECK_FALSE(h.has('a'));
    auto& more = h.ask(many, 'f');
    h.finish(5, more);
    CHECK(more.refused() == errc::install_failed);
    for (const char package : {'c', 'd', 'e'}) CHECK(h.has(package));
}

TEST_CASE("one client's programs do not fill the room for packages", "[faas][installer]")
{
    house h{9, 100, false, 1, 4};
    const std::string key = "faas.maxPackagesMBPerClient";
    for (const char package : {'a', 'b'}) {
        h.runs(package, {many});
        h.install(package);
    }
    h.runs('c', {many});
    auto& third = h.ask(many, 'c');
    h.finish(2, third);
    CHECK(third.refused() == errc::install_failed);
    CHECK(third.said().find(key) != std::string::npos);
    h.runs('c', {many, few});
    auto& others = h.ask(few, 'c');
    h.finish(3, others);
    CHECK(others.installed());
    // Nor by those that are there.
    const auto& again = h.ask(many, 'c');
    CHECK(again.refused() == errc::install_failed);
    CHECK(again.said().find(key) != std::string::npos);
    CHECK(h.ask(few, 'c').installed());
    CHECK(h.ask(client_key{}, 'c').installed());
    // A program that has ended needs none.
    h.user.now.running.erase(h.key_of('a'));
    CHECK(h.ask(many, 'c').installed());
}
