// Deployments that two services share, by an index in memory: who runs one, who takes over, and what is lost.
#include "base/uuid.hpp"
#include "faas/fleet.hpp"
#include "faas/service.hpp"
#include "support/comes_true.hpp"
#include "support/temporary_directory.hpp"
#include "unit/faas/pretended_jail.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <exception>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

using namespace sandboxd;
using namespace sandboxd::test;
using faas::status;
using std::chrono::milliseconds;
namespace asio = boost::asio;

namespace {

// What an index knows.
struct memory_index {
    struct known {
        std::uint64_t revision{0};
        std::string server{};
        bool is_wanted{false};
        std::set<std::string> seats{};
        std::map<std::uint64_t, faas::fleet::content> revisions{};
    };
    std::map<std::string, known> all{};
    std::set<std::string> gone{};
    bool is_away{false};
    bool is_silent{false};  // does what it is told, and its answers are lost
    milliseconds renewal{5};
    // No wait of these tests ends by it, however slow the machine is.
    milliseconds lease_time{3'600'000};
};

// One server's view of it.
class view final : public faas::fleet {
public:
    view(memory_index& of, std::string me) : in{of}, me_{std::move(me)} {}

    asio::awaitable<result<void>> keep(faas::manifest what, std::vector<faas::deployment_file> files) override
    {
        if (in.is_away) co_return away();
        auto& one = in.all[what.id];
        one.revision = what.revision;
        one.server = me_;
        one.revisions[what.revision] = {what, std::move(files)};
        if (in.is_silent) co_return away();
        co_return result<void>{};
    }
    asio::awaitable<result<claimed>> claim(std::string id) override
    {
        if (in.is_away) co_return away();
        const auto found = in.all.find(id);
        if (found == in.all.end()) co_return make_error(errc::not_found);
        auto& one = found->second;
        if (one.server.empty()) one.server = me_;
        auto what = one.revisions[one.revision].what;
        what.env.clear();
        co_return claimed{one.server == me_ ? std::string{} : one.server, std::move(what)};
    }
    asio::awaitable<result<held>> renew(std::string id, faas::told_state) override
    {
        ++renewed;
        if (in.is_away) co_return away();
        const auto found = in.all.find(id);
        if (found == in.all.end()) co_return in.gone.contains(id) ? held::deleted : held::unknown;
        if (!found->second.server.empty() && found->second.server != me_) co_return held::others;
        found->second.server = std::exchange(found->second.is_wanted, false) ? std::string{} : me_;
        co_return found->second.server.empty() ? held::wanted : held::mine;
    }
    asio::awaitable<void> ask_for(std::string id) override
    {
        in.all[id].is_wanted = true;
        co_return;
    }
    asio::awaitable<void> give_back(std::string id) override
    {
        if (const auto found = in.all.find(id); found != in.all.end() && found->second.server == me_)
            found->second.server.clear();
        co_return;
    }
    asio::awaitable<result<seat_taken>> take_seat(std::string id, std::uint64_t revision,
                                                  std::int64_t instances) override
    {
        ++seats_asked;
        if (in.is_away) co_return away();
        const auto found = in.all.find(id);
        if (found == in.all.end()) co_return seat_taken::deleted;
        auto& one = found->second;
        if (one.revision != revision) co_return seat_taken::revised;
        if (!one.seats.contains(me_) && one.seats.size() + 1 >= static_cast<std::size_t>(instances))
            co_return seat_taken::full;
        one.seats.insert(me_);
        co_return seat_taken::here;
    }
    asio::awaitable<result<seat_held>> renew_seat(std::string id, std::uint64_t revision, bool takes_lease) override
    {
        ++seats_renewed;
        if (in.is_away) co_return away();
        const auto found = in.all.find(id);
        if (found == in.all.end()) co_return in.gone.contains(id) ? seat_held::deleted : seat_held::lost;
        auto& one = found->second;
        if (one.seats.erase(me_) == 0) co_return seat_held::lost;
        if (one.revision != revision) co_return seat_held::revised;
        if (takes_lease && one.server.empty()) {
            one.server = me_;
            co_return seat_held::owner;
        }
        one.seats.insert(me_);
        co_return seat_held::mine;
    }
    asio::awaitable<void> give_seat_back(std::string id) override
    {
        if (const auto found = in.all.find(id); found != in.all.end()) found->second.seats.erase(me_);
        co_return;
    }
    milliseconds renewal() const override { return in.renewal; }
    milliseconds lease_time() const override { return in.lease_time; }
    asio::awaitable<result<faas::listing>> look(std::string id) override
    {
        if (in.is_away) co_return away();
        const auto found = in.all.find(id);
        if (found == in.all.end()) co_return make_error(errc::not_found);
        co_return listed(found->second);
    }
    asio::awaitable<result<std::vector<faas::listing>>> list(std::optional<std::string>) override
    {
        if (in.is_away) co_return away();
        std::vector<faas::listing> found;
        for (const auto& [id, one] : in.all) found.push_back(listed(one));
        co_return found;
    }
    asio::awaitable<result<std::string>> by_sandbox(std::string sandbox_id) override
    {
        for (auto& [id, one] : in.all)
            if (one.revisions[one.revision].what.sandbox_id == sandbox_id) co_return id;
        co_return make_error(errc::not_found);
    }
    asio::awaitable<result<holding>> held_by(std::string) override { co_return holding{in.all.size(), 0}; }
    asio::awaitable<result<content>> fetch(std::string id, std::uint64_t revision) override
    {
        ++fetched;
        if (in.is_away) co_return away();
        if (slow) co_await slow->wait();
        const auto found = in.all.find(id);
        if (found == in.all.end() || !found->second.revisions.contains(revision)) co_return make_error(errc::not_found);
        co_return found->second.revisions[revision];
    }
    asio::awaitable<result<void>> commit(faas::manifest what, std::vector<faas::deployment_file> files) override
    {
        if (in.is_away) co_return away();
        auto& one = in.all[what.id];
        if (one.server != me_ || one.revision + 1 != what.revision) co_return make_error(errc::conflict);
        one.revision = what.revision;
        one.revisions[what.revision] = {what, std::move(files)};
        co_return result<void>{};
    }
    asio::awaitable<result<offered>> offer(faas::manifest what, std::vector<faas::deployment_file> files,
                                           bool here) override
    {
        if (in.is_away) co_return away();
        if (in.gone.contains(what.id)) co_return offered::deleted;
        auto& one = in.all[what.id];
        if (one.revision >= what.revision) co_return offered::known;
        one.revision = what.revision;
        one.revisions[what.revision] = {what, std::move(files)};
        if (here && one.server.empty()) one.server = me_;
        co_return offered::taken;
    }
    asio::awaitable<result<bool>> forget(std::string id) override
    {
        if (in.is_away) co_return away();
        in.gone.insert(id);
        co_return in.all.erase(id) == 1;
    }

    memory_index& in;
    int fetched{0};
    int renewed{0};
    int seats_asked{0};
    int seats_renewed{0};
    async::event* slow{nullptr};  // what is fetched comes when it is set

private:
    static error away() { return make_error(errc::index_unavailable); }
    faas::listing listed(const memory_index::known& one) const
    {
        return {.what = one.revisions.at(one.revision).what,
                .bytes = 0,
                .server = one.server == me_ ? std::string{} : one.server,
                .state = {},
                .seats = one.seats.size()};
    }

    std::string me_;
};

// A machine with a service of its own.
struct machine {
    machine(asio::io_context& io, memory_index& all, const std::string& name)
        : tasks{io.get_executor()},
          catalog{io.get_executor(), tasks, wall, programs::runtimes_of({.node = "/usr/bin/node"})},
          others{all, name}
    {
        faas::service_settings how;
        how.root = own / "deployments";
        how.init = "/nowhere/sandboxd-init";
        how.stop_grace = milliseconds{20};
        how.drain_grace = milliseconds{60'000};
        how.max_deployments = 2;
        how.life.most_crashes = 1;
        how.known_places = 1;
        faas::installer_settings packages;
        packages.root = own / "packages";
        service.emplace(io.get_executor(), tasks, wall, catalog, how, packages, metrics);
        service->share_with(others);
        REQUIRE(service->open().has_value());
        service->start();
    }

    temporary_directory own;
    pretended_jail wall;
    metrics::registry metrics;
    async::task_group tasks;
    programs::catalog catalog;
    view others;
    std::optional<faas::service> service;
};

void run(memory_index& all, std::function<asio::awaitable<void>(machine&, machine&)> body)
{
    asio::io_context io;
    machine one{io, all, "one"};
    machine two{io, all, "two"};
    std::exception_ptr thrown;
    asio::co_spawn(io, body(one, two), [&](std::exception_ptr e) {
        thrown = e;
        one.service->close();
        two.service->close();
    });
    io.run();
    CHECK(one.tasks.size() + two.tasks.size() == 0);
    CHECK(one.wall.alive + two.wall.alive == 0);
    if (thrown) std::rethrow_exception(thrown);
}

asio::awaitable<faas::deployment_info> deployed(machine& on, milliseconds idle = milliseconds{0})
{
    async::stop_source stop;
    faas::deploy_request what;
    what.runtime = "node";
    what.code = "1";
    what.env = {{"A", "b"}};
    what.idle = idle;
    auto made = co_await on.service->deploy(std::move(what), stop);
    REQUIRE(made.has_value());
    co_return *made;
}

asio::awaitable<std::string> settled(machine& on, std::string id, bool brings = true)
{
    async::stop_source stop;
    const auto found = co_await on.service->settle(id, brings, stop);
    co_return found ? "at " + *found : std::string{name(found.error().code)};
}

asio::awaitable<std::string> entered(machine& on, std::string id)
{
    async::stop_source stop;
    const auto place = co_await on.service->enter(id, {}, stop);
    co_return place ? std::string{"here"} : std::string{name(place.error().code)};
}

asio::awaitable<std::string> updated(machine& on, std::string id, std::string text,
                                     std::optional<std::uint64_t> only_if = {},
                                     std::optional<std::uint64_t> back_to = {})
{
    async::stop_source stop;
    faas::update_request what;
    if (!back_to) what.files = {{"index.js", text}};
    what.only_if = only_if;
    what.back_to = back_to;
    const auto done = co_await on.service->update(id, std::move(what), stop);
    co_return done ? std::string{"done"} : std::string{name(done.error().code)};
}

}  // namespace

TEST_CASE("a deployment runs where its lease is, and another service says where", "[faas]")
{
    memory_index all;
    run(all, [&](machine& one, machine& two) -> asio::awaitable<void> {
        const auto made = co_await deployed(one);
        CHECK(made.revision == 1);
        CHECK(co_await settled(one, made.id) == "at ");
        CHECK(co_await entered(one, made.id) == "here");
        CHECK(co_await settled(two, made.id) == "at one");
        CHECK(co_await settled(two, new_uuid()) == "not_found");
        CHECK(co_await settled(two, "nonsense") == "not_found");
        CHECK(two.others.fetched == 0);
        CHECK((co_await two.service->look(made.id))->server == "one");
        CHECK((co_await two.service->by_sandbox(made.sandbox_id)).value() == made.id);
        CHECK((co_await two.service->owner_of(made.id)).value().empty());
        CHECK(co_await comes_true([&] { return one.others.renewed > 3; }));
        // Its lease has ended, and another one has it: it is taken over with its files, variables and revision.
        all.all.at(made.id).server = "two";
        CHECK(co_await settled(two, made.id) == "at ");
        CHECK(co_await entered(two, made.id) == "here");
        CHECK(two.wall.started == 1);
        // Who had it ends his program, and keeps the copy.
        CHECK(co_await comes_true([&] { return one.wall.alive == 0; }));
        CHECK(co_await settled(one, made.id) == "at two");
        CHECK(co_await entered(one, made.id) == "index_unavailable");
        CHECK(std::filesystem::exists(one.own / "deployments" / made.id / "app/index.js"));
        // Of the same revision nothing is brought again.
        all.all.at(made.id).server = "one";
        CHECK(co_await settled(one, made.id) == "at ");
        CHECK(one.others.fetched == 0);
    });
}

TEST_CASE("a deployment that another service asks for, as it cannot reach this one, moves there", "[faas]")
{
    memory_index all;
    run(all, [&](machine& one, machine& two) -> asio::awaitable<void> {
        const auto made = co_await deployed(one);
        async::stop_source stop;
        auto busy = co_await one.service->enter(made.id, {}, stop);
        REQUIRE(busy.has_value());
        CHECK(co_await settled(two, made.id) == "at one");
        co_await two.service->ask_for(made.id);
        CHECK(co_await comes_true([&] { return all.all.at(made.id).server.empty(); }));
        CHECK(co_await settled(two, made.id) == "at ");
        CHECK(co_await entered(two, made.id) == "here");
        CHECK(co_await settled(one, made.id) == "at two");
        // What it has begun, it answers.
        CHECK(one.wall.alive == 1);
        {
            const auto over = std::move(*busy);
        }
        CHECK(co_await comes_true([&] { return one.wall.alive == 0; }));
    });
}

TEST_CASE("a service that hands over takes nothing any more, and answers what it has begun", "[faas]")
{
    memory_index all;
    run(all, [&](machine& one, machine& two) -> asio::awaitable<void> {
        const auto made = co_await deployed(one);
        async::stop_source stop;
        auto busy = co_await one.service->enter(made.id, {}, stop);
        REQUIRE(busy.has_value());
        one.service->hand_over();
        CHECK(co_await comes_true([&] { return all.all.at(made.id).server.empty(); }));
        CHECK(co_await settled(one, made.id) == "draining");
        CHECK(co_await settled(two, made.id) == "at ");
        CHECK(co_await entered(two, made.id) == "here");
        CHECK(co_await settled(one, made.id) == "at two");
        // The old program is there as long as its request.
        CHECK(one.wall.alive == 1);
        {
            const auto over = std::move(*busy);
        }
        CHECK(co_await comes_true([&] { return one.wall.alive == 0; }));
    });
}

TEST_CASE("what was deleted on one server is gone on the other", "[faas]")
{
    memory_index all;
    run(all, [&](machine& one, machine& two) -> asio::awaitable<void> {
        const auto running = co_await deployed(one);
        CHECK((co_await two.service->remove(running.id)).has_value());
        CHECK(co_await comes_true([&] { return one.service->size() == 0; }));
        CHECK(co_await comes_true([&] { return one.wall.alive == 0; }));
        CHECK((co_await two.service->remove(running.id)).error().code == errc::not_found);
        CHECK(co_await settled(one, running.id) == "not_found");
        // A copy that does not run is seen when it is asked for.
        const auto moved = co_await deployed(one);
        all.all.at(moved.id).server = "two";
        CHECK(co_await settled(two, moved.id) == "at ");
        CHECK(co_await comes_true([&] { return one.wall.alive == 0; }));
        CHECK((co_await two.service->remove(moved.id)).has_value());
        CHECK(one.service->size() == 1);
        CHECK(co_await settled(one, moved.id) == "not_found");
        CHECK(one.service->size() == 0);
    });
}

TEST_CASE("an update is a revision of the one who has the lease", "[faas]")
{
    memory_index all;
    run(all, [&](machine& one, machine& two) -> asio::awaitable<void> {
        const auto made = co_await deployed(one);
        CHECK(co_await updated(one, made.id, "two", 7) == "precondition_failed");
        CHECK(co_await updated(one, made.id, "two", 1) == "done");
        CHECK(one.service->find(made.id)->revision == 2);
        CHECK(all.all.at(made.id).revisions.at(2).files.front().content == "two");
        CHECK(co_await updated(one, made.id, {}, {}, 1) == "done");
        CHECK(all.all.at(made.id).revisions.at(3).files.front().content == "1");
        CHECK(co_await updated(one, made.id, {}, {}, 9) == "not_found");
        // Somebody else has changed it: nothing is written, and the copy is given up.
        all.all.at(made.id).server = "two";
        CHECK(co_await updated(one, made.id, "lost") == "conflict");
        CHECK(co_await comes_true([&] { return one.wall.alive == 0; }));
        CHECK(all.all.at(made.id).revision == 3);
        // A copy of a former revision is brought up to date.
        all.all.at(made.id).server = "two";
        CHECK(co_await settled(two, made.id) == "at ");
        CHECK(co_await updated(two, made.id, "four") == "done");
        all.all.at(made.id).server = "one";
        CHECK(co_await settled(one, made.id) == "at ");
        CHECK(one.service->find(made.id)->revision == 4);
        CHECK(one.others.fetched == 3);
    });
}

TEST_CASE("while the index is away what runs goes on, and the last known server is told", "[faas]")
{
    memory_index all;
    run(all, [&](machine& one, machine& two) -> asio::awaitable<void> {
        const auto made = co_await deployed(one);
        CHECK(co_await settled(two, made.id) == "at one");
        all.is_away = true;
        const auto before = one.others.renewed;
        CHECK(co_await comes_true([&] { return one.others.renewed > before + 3; }));
        CHECK(co_await entered(one, made.id) == "here");
        CHECK(co_await settled(two, made.id) == "at one");
        CHECK(co_await settled(two, new_uuid()) == "index_unavailable");
        CHECK((co_await two.service->list(std::nullopt)).error().code == errc::index_unavailable);
        CHECK((co_await one.service->remove(made.id)).error().code == errc::index_unavailable);
        CHECK(co_await updated(one, made.id, "x") == "index_unavailable");
        CHECK(one.service->find(made.id)->revision == 1);
        // It has forgotten everything.
        all.all.clear();
        all.is_away = false;
        CHECK(co_await comes_true([&] { return all.all.contains(made.id); }));
        CHECK(co_await settled(two, made.id) == "at one");
        CHECK(one.wall.started == 1);
    });
}

TEST_CASE("of the servers that run deployments as many are remembered as the key says", "[faas]")
{
    memory_index all;
    run(all, [&](machine& one, machine& two) -> asio::awaitable<void> {
        const auto former = co_await deployed(one);
        const auto latter = co_await deployed(one);
        CHECK(co_await settled(two, former.id) == "at one");
        CHECK(co_await settled(two, latter.id) == "at one");
        all.is_away = true;
        CHECK(co_await settled(two, latter.id) == "at one");
        CHECK(co_await settled(two, former.id) == "index_unavailable");
        all.is_away = false;
        CHECK(co_await settled(two, former.id) == "at one");
        CHECK(two.metrics.add_counter("sandboxd_cluster_places_forgotten_total", "", "of=\"deployment\"").value() == 2);
    });
}

TEST_CASE("a deployment that is idle is nobody's, and copies that nobody uses make room", "[faas]")
{
    memory_index all;
    run(all, [&](machine& one, machine& two) -> asio::awaitable<void> {
        std::vector<std::string> ids;
        for (int i = 0; i < 4; ++i) {
            const auto made = co_await deployed(one, milliseconds{1});
            ids.push_back(made.id);
            CHECK(co_await comes_true([&] { return all.all.at(made.id).server.empty(); }));
        }
        CHECK(one.service->size() == 2);
        CHECK((co_await one.service->list(std::nullopt))->size() == 4);
        CHECK((co_await two.service->look(ids.front()))->info.status == status::stopped);
        for (const auto& id : ids) {
            CHECK(co_await settled(one, id) == "at ");
            CHECK(co_await comes_true([&] { return all.all.at(id).server.empty(); }));
        }
        CHECK(one.service->size() == 2);
        // Those that run make none.
        for (int i = 0; i < 2; ++i) static_cast<void>(co_await deployed(two));
        CHECK(co_await settled(two, ids.front()) == "queue_full");
        CHECK(all.all.at(ids.front()).server.empty());
    });
}

TEST_CASE("who leaves while files are brought, and asks again, does not have them brought twice", "[faas]")
{
    memory_index all;
    run(all, [&](machine& one, machine& two) -> asio::awaitable<void> {
        const auto made = co_await deployed(one);
        all.all.at(made.id).server = "two";
        async::event comes{co_await asio::this_coro::executor};
        two.others.slow = &comes;
        for (int times = 0; times < 3; ++times) {
            async::stop_source stop;
            bool has_left = false;
            asio::co_spawn(
                co_await asio::this_coro::executor,
                [&]() -> asio::awaitable<void> {
                    const auto found = co_await two.service->settle(made.id, true, stop);
                    CHECK(found.error().code == errc::disconnected);
                    has_left = true;
                },
                asio::detached);
            CHECK(co_await comes_true([&] { return two.others.fetched > 0; }));
            stop.request(errc::disconnected);
            CHECK(co_await comes_true([&] { return has_left; }));
        }
        CHECK(two.others.fetched == 1);
        comes.set();
        CHECK(co_await settled(two, made.id) == "at ");
        CHECK(two.others.fetched == 1);
        CHECK(co_await entered(two, made.id) == "here");
        CHECK(std::filesystem::exists(two.own / "deployments" / made.id / "app/index.js"));
    });
}

TEST_CASE("what no index has makes no place for another one", "[faas]")
{
    memory_index all;
    run(all, [&](machine& one, machine&) -> asio::awaitable<void> {
        std::vector<std::string> ids;
        for (int i = 0; i < 2; ++i) {
            const auto made = co_await deployed(one, milliseconds{1});
            ids.push_back(made.id);
            CHECK(co_await comes_true([&] { return all.all.at(made.id).server.empty(); }));
        }
        // Redis has lost both, and remembers one later.
        auto known = all.all.extract(ids.front());
        all.all.clear();
        async::stop_source stop;
        faas::deploy_request what;
        what.runtime = "node";
        what.code = "1";
        CHECK((co_await one.service->deploy(what, stop)).error().code == errc::queue_full);
        // What is refused for another reason has removed nothing either.
        what.memory_mb = 0;
        CHECK((co_await one.service->deploy(what, stop)).error().code == errc::invalid_request);
        CHECK(one.service->size() == 2);
        for (const auto& id : ids) CHECK(std::filesystem::exists(one.own / "deployments" / id / "app/index.js"));
        all.all.insert(std::move(known));
        what.memory_mb = 64;
        CHECK((co_await one.service->deploy(what, stop)).has_value());
        CHECK_FALSE(one.service->find(ids.front()).has_value());
        CHECK(one.service->find(ids.back()).has_value());
    });
}

TEST_CASE("what cannot start on one server for its own reasons may start on another", "[faas]")
{
    memory_index all;
    run(all, [&](machine& one, machine& two) -> asio::awaitable<void> {
        one.wall.acts = {pretended_jail::act::refuse};
        const auto made = co_await deployed(one);
        CHECK(made.status == status::failed);
        CHECK(co_await comes_true([&] { return all.all.at(made.id).server.empty(); }));
        CHECK(co_await settled(two, made.id) == "at ");
        CHECK(co_await entered(two, made.id) == "here");
        // A program that ends by itself is no better elsewhere.
        one.wall.acts = {pretended_jail::act::crash};
        const auto ends = co_await deployed(one);
        const auto before = one.others.renewed;
        CHECK(co_await comes_true([&] { return one.others.renewed > before + 5; }));
        CHECK(co_await settled(two, ends.id) == "at one");
    });
}

TEST_CASE("a deployment whose client heard that it is not there goes out of the index", "[faas]")
{
    memory_index all;
    run(all, [&](machine& one, machine&) -> asio::awaitable<void> {
        all.is_silent = true;
        async::stop_source stop;
        faas::deploy_request what;
        what.runtime = "node";
        what.code = "1";
        CHECK((co_await one.service->deploy(what, stop)).error().code == errc::index_unavailable);
        CHECK(co_await comes_true([&] { return all.all.empty(); }));
        CHECK(one.service->size() == 0);
        CHECK(one.wall.started == 0);
    });
}

TEST_CASE("a deployment that comes back while its program still ends has one directory, and at most two programs",
          "[faas]")
{
    memory_index all;
    run(all, [&](machine& one, machine&) -> asio::awaitable<void> {
        const auto made = co_await deployed(one);
        for (int times = 0; times < 3; ++times) {
            async::stop_source stop;
            auto busy = co_await one.service->enter(made.id, {}, stop);
            REQUIRE(busy.has_value());
            // Another server takes the lease, and loses it again.
            all.all.at(made.id).server = "two";
            CHECK(co_await comes_true(
                [&] { return !one.service->find(made.id) || one.service->find(made.id)->requests == 0; }));
            all.all.at(made.id).server.clear();
            CHECK(co_await settled(one, made.id) == "at ");
            CHECK(co_await entered(one, made.id) == "here");
            CHECK(one.wall.alive <= 2);
            CHECK(co_await updated(one, made.id, std::to_string(times)) == "done");
        }
        CHECK(one.wall.most_alive <= 2);
        const auto revision = one.service->find(made.id)->revision;
        CHECK(all.all.at(made.id).revision == revision);
        CHECK((co_await one.service->remove(made.id)).has_value());
        CHECK(one.wall.alive == 0);
    });
}
