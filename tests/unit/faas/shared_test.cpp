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

    result<room> make_room(const client_key&, std::uint64_t bytes) override
    {
        if (bytes > most_room) return error{errc::queue_full, "no room"};
        rooms.push_back(bytes);
        auto one = std::make_shared<int>();
        held_room = one;
        return room{std::move(one)};
    }
    asio::awaitable<result<void>> keep(faas::manifest what, std::vector<faas::deployment_file> files) override
    {
        if (in.is_away) co_return away();
        if (held_room.expired()) co_return make_error(errc::internal);
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
        const bool had = one.seats.erase(me_) == 1;
        if (one.revision != revision) co_return seat_held::revised;
        if (!had && one.server != me_) co_return seat_held::lost;
        if (had && !(takes_lease && one.server.empty())) {
            one.seats.insert(me_);
            co_return seat_held::mine;
        }
        one.server = me_;
        if (in.is_silent) co_return away();
        co_return seat_held::owner;
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
        if (held_room.expired()) co_return make_error(errc::internal);
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
        if (held_room.expired()) co_return make_error(errc::internal);
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
    std::uint64_t most_room{64u << 20};
    std::vector<std::uint64_t> rooms{};     // all that were made, in bytes
    std::weak_ptr<const void> held_room{};  // the last one
    async::event* slow{nullptr};            // what is fetched comes when it is set

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

// What a test may want of the services.
struct wishes {
    std::size_t scale_up_requests{2};
    milliseconds seat_idle{3'600'000};
};

// A machine with a service of its own.
struct machine {
    machine(asio::io_context& io, memory_index& all, const std::string& name, const wishes& how_else)
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
        how.max_instances = 3;
        how.scale_up_requests = how_else.scale_up_requests;
        how.seat_idle = how_else.seat_idle;
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

void run(memory_index& all, std::function<asio::awaitable<void>(machine&, machine&)> body, const wishes& how = {})
{
    asio::io_context io;
    machine one{io, all, "one", how};
    machine two{io, all, "two", how};
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

asio::awaitable<faas::deployment_info> deployed(machine& on, milliseconds idle = milliseconds{0},
                                                std::int64_t max_instances = 1)
{
    async::stop_source stop;
    faas::deploy_request what;
    what.runtime = "node";
    what.code = "1";
    what.env = {{"A", "b"}};
    what.idle = idle;
    what.max_instances = max_instances;
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

using passages = std::vector<faas::service::passage>;

// So many requests, on their way from `on` to the owner, which it knows.
asio::awaitable<passages> burdened(machine& on, std::string id, std::size_t count)
{
    CHECK(co_await settled(on, id) == "at one");
    passages made;
    for (std::size_t i = 0; i < count; ++i) made.push_back(on.service->pass_on(id, {}));
    co_return made;
}

// One more request goes by.
void pass_one(machine& on, const std::string& id) { static_cast<void>(on.service->pass_on(id, {})); }

// As many requests as it takes until `two` has a program of its own.
asio::awaitable<bool> doubled(machine& two, std::string id)
{
    const auto many = co_await burdened(two, id, 2);
    co_return co_await comes_true([&] {
        pass_one(two, id);
        return two.service->has_seat(id);
    });
}

bool has_counted(const machine& on, const std::string& sample)
{
    return on.metrics.expose().find('\n' + sample + '\n') != std::string::npos;
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

TEST_CASE("a former revision comes back where its bytes may be kept", "[faas]")
{
    memory_index all;
    run(all, [&](machine& one, machine&) -> asio::awaitable<void> {
        const auto made = co_await deployed(one);
        CHECK(co_await updated(one, made.id, "longer") == "done");
        std::vector<std::uint64_t> asked;
        bool may = false;
        const auto back_to = [&](std::uint64_t revision) -> asio::awaitable<std::string> {
            async::stop_source stop;
            faas::update_request what;
            what.back_to = revision;
            what.admit = [&](std::uint64_t bytes) -> asio::awaitable<result<void>> {
                asked.push_back(bytes);
                if (!may) co_return make_error(errc::tenant_storage_limit);
                co_return result<void>{};
            };
            const auto done = co_await one.service->update(made.id, std::move(what), stop);
            co_return done ? std::string{"done"} : std::string{name(done.error().code)};
        };
        CHECK(co_await back_to(1) == "tenant_storage_limit");
        CHECK(co_await back_to(2) == "tenant_storage_limit");
        CHECK(asked == std::vector<std::uint64_t>{1, 6});
        CHECK(all.all.at(made.id).revision == 2);
        // What is not there is not asked for.
        CHECK(co_await back_to(9) == "not_found");
        CHECK(asked.size() == 2);
        may = true;
        CHECK(co_await back_to(1) == "done");
        CHECK(all.all.at(made.id).revisions.at(3).files.front().content == "1");
    });
}

TEST_CASE("files have room on their way to other servers before they are read", "[faas]")
{
    memory_index all;
    run(all, [&](machine& one, machine&) -> asio::awaitable<void> {
        auto& others = one.others;
        const auto made = co_await deployed(one);
        CHECK(others.rooms == std::vector<std::uint64_t>{1});
        CHECK(others.held_room.expired());
        CHECK(co_await updated(one, made.id, "two") == "done");
        // What is there, and what is new.
        CHECK(others.rooms.back() == 4);
        others.most_room = 1;
        CHECK(co_await updated(one, made.id, {}, {}, 1) == "done");
        CHECK(others.rooms.back() == 1);
        CHECK(others.held_room.expired());
        const auto before = others.rooms.size();
        others.most_room = 2;
        CHECK(co_await updated(one, made.id, "three") == "queue_full");
        CHECK(co_await updated(one, made.id, {}, {}, 2) == "queue_full");
        CHECK(all.all.at(made.id).revision == 3);
        CHECK(one.service->find(made.id)->revision == 3);
        others.most_room = 0;
        async::stop_source stop;
        faas::deploy_request what;
        what.runtime = "node";
        what.code = "1";
        CHECK((co_await one.service->deploy(std::move(what), stop)).error().code == errc::queue_full);
        CHECK(all.all.size() == 1);
        CHECK(one.service->size() == 1);
        CHECK(others.rooms.size() == before);
        others.most_room = 1u << 20;
        CHECK(co_await updated(one, made.id, "three") == "done");
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

TEST_CASE("a service through which many requests pass runs the deployment, too", "[faas]")
{
    memory_index all;
    run(all, [&](machine& one, machine& two) -> asio::awaitable<void> {
        const auto made = co_await deployed(one, milliseconds{0}, 2);
        CHECK(one.service->find(made.id)->max_instances == 2);
        {
            auto many = co_await burdened(two, made.id, 2);
            // What is begun is begun by the time that this is answered.
            CHECK(co_await settled(two, made.id) == "at one");
            CHECK(two.others.seats_asked == 0);
            for (int i = 0; i < 3; ++i) many.push_back(two.service->pass_on(made.id, {}));
            CHECK(co_await comes_true([&] { return two.service->has_seat(made.id); }));
            many.push_back(two.service->pass_on(made.id, {}));
            CHECK(co_await settled(two, made.id) == "at one");
        }
        CHECK(two.others.seats_asked == 1);
        CHECK(two.others.fetched == 1);
        CHECK(two.wall.started == 1);
        CHECK(co_await entered(two, made.id) == "here");
        CHECK(co_await entered(one, made.id) == "here");
        CHECK(one.wall.started == 1);
        CHECK_FALSE(one.service->has_seat(made.id));
        // All know how many there are, and that the other one owns it.
        CHECK((co_await one.service->look(made.id))->info.instances == 2);
        CHECK((co_await two.service->look(made.id))->info.instances == 2);
        CHECK((co_await two.service->look(made.id))->server == "one");
        CHECK((co_await one.service->list(std::nullopt))->front().instances == 2);
        CHECK(co_await updated(two, made.id, "x") == "index_unavailable");
        CHECK(has_counted(two, "sandboxd_faas_seats_total{result=\"taken\"} 1"));
        CHECK(has_counted(two, "sandboxd_faas_programs{role=\"seat\"} 1"));
        CHECK(has_counted(one, "sandboxd_faas_programs{role=\"owner\"} 1"));
        // It stays when the load is over.
        const auto before = two.others.seats_renewed;
        CHECK(co_await comes_true([&] { return two.others.seats_renewed > before + 3; }));
        CHECK(two.service->has_seat(made.id));
    });
}

TEST_CASE("what may run on one server, or is not to be scaled up, takes no seat", "[faas]")
{
    memory_index all;
    const auto body = [&](std::int64_t instances) {
        return [&all, instances](machine& one, machine& two) -> asio::awaitable<void> {
            const auto made = co_await deployed(one, milliseconds{0}, instances);
            const auto many = co_await burdened(two, made.id, 50);
            CHECK(co_await settled(two, made.id) == "at one");
            CHECK(two.others.seats_asked == 0);
            CHECK(all.all.at(made.id).seats.empty());
        };
    };
    run(all, body(1));
    run(all, body(3), {.scale_up_requests = 0});
}

TEST_CASE("a deployment may run on as many servers as the key says", "[faas]")
{
    memory_index all;
    run(all, [&](machine& one, machine& two) -> asio::awaitable<void> {
        for (const std::int64_t count : {-1, 0, 4}) {
            async::stop_source stop;
            faas::deploy_request what;
            what.runtime = "node";
            what.code = "1";
            what.max_instances = count;
            const auto refused = co_await one.service->deploy(std::move(what), stop);
            REQUIRE(refused.has_error());
            CHECK(refused.error().code == errc::invalid_request);
            CHECK(refused.error().message.find("cluster.maxInstances") != std::string::npos);
        }
        CHECK(all.all.empty());
        // What other servers allow is cut to that.
        const auto made = co_await deployed(one, milliseconds{0}, 3);
        all.all.at(made.id).revisions.at(1).what.max_instances = 100;
        all.all.at(made.id).seats = {"three", "four"};
        const auto many = co_await burdened(two, made.id, 3);
        CHECK(co_await comes_true([&] { return two.others.seats_asked == 1; }));
        CHECK(two.wall.started == 0);
        CHECK(all.all.at(made.id).seats.size() == 2);
    });
}

TEST_CASE("where all seats are taken requests go to the owner, until there is one", "[faas]")
{
    memory_index all;
    run(all, [&](machine& one, machine& two) -> asio::awaitable<void> {
        const auto made = co_await deployed(one, milliseconds{0}, 2);
        auto& seats = all.all.at(made.id).seats;
        seats.insert("three");
        const auto many = co_await burdened(two, made.id, 3);
        CHECK(co_await comes_true([&] {
            pass_one(two, made.id);
            return two.others.seats_asked > 1;
        }));
        CHECK(two.wall.started == 0);
        CHECK(two.others.fetched == 0);
        CHECK(co_await settled(two, made.id) == "at one");
        seats.erase("three");
        CHECK(co_await comes_true([&] {
            pass_one(two, made.id);
            return two.service->has_seat(made.id);
        }));
        CHECK(seats == std::set<std::string>{"two"});
    });
}

TEST_CASE("a program that does not start gives its seat back, and is not tried again at once", "[faas]")
{
    memory_index all;
    // Nothing is renewed, and a pause lasts longer than the test.
    all.renewal = std::chrono::hours{1};
    run(all, [&](machine& one, machine& two) -> asio::awaitable<void> {
        const auto made = co_await deployed(one, milliseconds{0}, 2);
        auto& seats = all.all.at(made.id).seats;
        two.wall.acts = {pretended_jail::act::refuse};
        {
            const auto many = co_await burdened(two, made.id, 3);
            CHECK(co_await comes_true([&] { return two.wall.started == 1 && seats.empty(); }));
            for (int i = 0; i < 5; ++i) pass_one(two, made.id);
            CHECK(co_await settled(two, made.id) == "at one");
            CHECK(two.others.seats_asked == 1);
        }
        CHECK_FALSE(two.service->has_seat(made.id));
        CHECK(has_counted(two, "sandboxd_faas_seats_total{result=\"failed\"} 1"));
        // Another revision may run.
        CHECK(co_await updated(one, made.id, "two") == "done");
        CHECK(co_await doubled(two, made.id));
        CHECK(two.service->find(made.id)->revision == 2);
        CHECK(two.others.seats_asked == 2);
    });
}

TEST_CASE("a program that did not start is tried again after a pause", "[faas]")
{
    memory_index all;
    run(all, [&](machine& one, machine& two) -> asio::awaitable<void> {
        const auto made = co_await deployed(one, milliseconds{0}, 2);
        using enum pretended_jail::act;
        two.wall.acts = {refuse, exit, throws};
        CHECK(co_await doubled(two, made.id));
        CHECK(two.wall.started == 4);
        CHECK(has_counted(two, "sandboxd_faas_seats_total{result=\"failed\"} 3"));
        // One that ends while it runs gives its seat back, too; that of the owner is not concerned.
        two.wall.crash();
        CHECK(co_await comes_true([&] { return all.all.at(made.id).seats.empty() && two.wall.alive == 0; }));
        CHECK(has_counted(two, "sandboxd_faas_seats_total{result=\"failed\"} 4"));
        CHECK(co_await entered(one, made.id) == "here");
        CHECK(one.wall.started == 1);
        CHECK(two.service->size() == 1);
    });
}

TEST_CASE("a seat takes a place among the deployments of its server", "[faas]")
{
    memory_index all;
    run(all, [&](machine& one, machine& two) -> asio::awaitable<void> {
        const auto made = co_await deployed(one, milliseconds{0}, 2);
        for (int i = 0; i < 2; ++i) static_cast<void>(co_await deployed(two));
        const auto many = co_await burdened(two, made.id, 3);
        CHECK(co_await comes_true([&] {
            return has_counted(two, "sandboxd_faas_seats_total{result=\"failed\"} 1") &&
                   all.all.at(made.id).seats.empty();
        }));
        CHECK(two.service->size() == 2);
        CHECK(two.wall.started == 2);
    });
}

TEST_CASE("seats take half of the places of their server", "[faas]")
{
    memory_index all;
    run(all, [&](machine& one, machine& two) -> asio::awaitable<void> {
        const auto first = co_await deployed(one, milliseconds{0}, 2);
        const auto second = co_await deployed(one, milliseconds{0}, 2);
        REQUIRE(co_await doubled(two, first.id));
        const auto many = co_await burdened(two, second.id, 3);
        CHECK(co_await comes_true([&] {
            pass_one(two, second.id);
            return has_counted(two, "sandboxd_faas_seats_total{result=\"refused\"} 3");
        }));
        CHECK(two.others.seats_asked == 1);
        CHECK(all.all.at(second.id).seats.empty());
        CHECK(two.service->has_seat(first.id));
        CHECK((co_await one.service->remove(first.id)).has_value());
        CHECK(co_await comes_true([&] {
            pass_one(two, second.id);
            return two.service->has_seat(second.id);
        }));
    });
}

TEST_CASE("a seat is given up for a newer revision, and load decides again", "[faas]")
{
    memory_index all;
    run(all, [&](machine& one, machine& two) -> asio::awaitable<void> {
        const auto made = co_await deployed(one, milliseconds{0}, 2);
        REQUIRE(co_await doubled(two, made.id));
        async::stop_source stop;
        auto busy = co_await two.service->enter(made.id, {}, stop);
        REQUIRE(busy.has_value());
        CHECK(co_await updated(one, made.id, "two") == "done");
        CHECK(co_await comes_true([&] { return !two.service->has_seat(made.id); }));
        CHECK(all.all.at(made.id).seats.empty());
        CHECK(co_await entered(two, made.id) == "index_unavailable");
        // What it has begun, it answers.
        CHECK(two.wall.alive == 1);
        {
            const auto over = std::move(*busy);
        }
        CHECK(co_await comes_true([&] { return two.wall.alive == 0; }));
        CHECK(two.wall.started == 1);
        REQUIRE(co_await doubled(two, made.id));
        CHECK(two.service->find(made.id)->revision == 2);
        CHECK(two.others.fetched == 2);
        CHECK(two.wall.started == 2);
        CHECK(has_counted(two, "sandboxd_faas_seats_total{result=\"revised\"} 1"));
    });
}

TEST_CASE("a seat ends when no request comes, and not while there is one", "[faas]")
{
    memory_index all;
    const wishes hasty{.seat_idle = milliseconds{1}};
    run(
        all,
        [&](machine& one, machine& two) -> asio::awaitable<void> {
            const auto made = co_await deployed(one, milliseconds{0}, 2);
            const auto& seats = all.all.at(made.id).seats;
            REQUIRE(co_await doubled(two, made.id));
            {
                async::stop_source stop;
                const auto busy = co_await two.service->enter(made.id, {}, stop);
                REQUIRE(busy.has_value());
                // When another one has been stopped, this one has been looked at as well.
                const auto other = co_await deployed(two, milliseconds{1});
                CHECK(co_await comes_true([&] { return two.service->find(other.id)->status == status::stopped; }));
                CHECK(two.service->has_seat(made.id));
            }
            CHECK(co_await comes_true([&] { return seats.empty() && two.wall.alive == 0; }));
            CHECK(co_await settled(two, made.id) == "at one");
            CHECK(one.wall.alive == 1);
        },
        hasty);
}

TEST_CASE("a seat that the index says nothing of ends by its time", "[faas]")
{
    memory_index all;
    run(all, [&](machine& one, machine& two) -> asio::awaitable<void> {
        const auto made = co_await deployed(one, milliseconds{0}, 2);
        REQUIRE(co_await doubled(two, made.id));
        all.lease_time = milliseconds{15};
        const auto before = two.others.seats_renewed;
        CHECK(co_await comes_true(
            [&] { return two.others.seats_renewed > before + 1 || !two.service->has_seat(made.id); }));
        all.is_away = true;
        CHECK(co_await comes_true([&] { return two.wall.alive == 0; }));
        CHECK_FALSE(two.service->has_seat(made.id));
        CHECK(has_counted(two, "sandboxd_faas_seats_total{result=\"unheard\"} 1"));
        // What runs by a lease goes on, and requests go there.
        CHECK(one.wall.alive == 1);
        CHECK(co_await settled(two, made.id) == "at one");
        all.is_away = false;
    });
}

TEST_CASE("a service that hands over gives its seats back", "[faas]")
{
    memory_index all;
    run(all, [&](machine& one, machine& two) -> asio::awaitable<void> {
        const auto made = co_await deployed(one, milliseconds{0}, 2);
        REQUIRE(co_await doubled(two, made.id));
        two.service->hand_over();
        CHECK_FALSE(two.service->has_seat(made.id));
        CHECK(co_await comes_true([&] { return all.all.at(made.id).seats.empty() && two.wall.alive == 0; }));
        const auto many = co_await burdened(two, made.id, 3);
        CHECK(co_await settled(two, made.id) == "at one");
        CHECK(all.all.at(made.id).seats.empty());
        CHECK(one.wall.alive == 1);
    });
}

TEST_CASE("who has a seat owns a deployment that is nobody's, and its program goes on", "[faas]")
{
    memory_index all;
    run(all, [&](machine& one, machine& two) -> asio::awaitable<void> {
        const auto made = co_await deployed(one, milliseconds{0}, 2);
        REQUIRE(co_await doubled(two, made.id));
        one.service->hand_over();
        CHECK(co_await comes_true([&] { return all.all.at(made.id).server == "two"; }));
        CHECK(co_await settled(two, made.id) == "at ");
        CHECK(co_await entered(two, made.id) == "here");
        CHECK_FALSE(two.service->has_seat(made.id));
        CHECK(all.all.at(made.id).seats.empty());
        CHECK(two.wall.started == 1);
        CHECK(co_await updated(two, made.id, "two") == "done");
        const auto before = two.others.renewed;
        CHECK(co_await comes_true([&] { return two.others.renewed > before + 2; }));
        CHECK(all.all.at(made.id).server == "two");
    });
}

TEST_CASE("who does not hear that its seat is the lease now hears it later, and its program goes on", "[faas]")
{
    memory_index all;
    run(all, [&](machine& one, machine& two) -> asio::awaitable<void> {
        const auto made = co_await deployed(one, milliseconds{0}, 2);
        REQUIRE(co_await doubled(two, made.id));
        all.is_silent = true;
        one.service->hand_over();
        CHECK(co_await comes_true([&] { return all.all.at(made.id).server == "two"; }));
        CHECK(two.service->has_seat(made.id));
        all.is_silent = false;
        CHECK(co_await comes_true([&] { return two.others.renewed > 0; }));
        CHECK_FALSE(two.service->has_seat(made.id));
        CHECK(co_await entered(two, made.id) == "here");
        CHECK(two.wall.started == 1);
        CHECK(has_counted(two, "sandboxd_faas_seats_total{result=\"promoted\"} 1"));
    });
}

TEST_CASE("a request that finds a deployment nobody's makes the seat here the lease", "[faas]")
{
    memory_index all;
    all.renewal = std::chrono::hours{1};
    run(all, [&](machine& one, machine& two) -> asio::awaitable<void> {
        const auto made = co_await deployed(one, milliseconds{0}, 2);
        REQUIRE(co_await doubled(two, made.id));
        all.all.at(made.id).server.clear();
        // Until then nobody owns it, and who has a seat runs it.
        CHECK((co_await two.service->look(made.id))->info.status == status::running);
        CHECK((co_await two.service->look(made.id))->info.instances == 1);
        all.all.at(made.id).seats.insert("three");
        CHECK((co_await two.service->look(made.id))->info.instances == 2);
        all.all.at(made.id).seats.erase("three");
        CHECK(co_await settled(two, made.id) == "at ");
        CHECK(co_await entered(two, made.id) == "here");
        CHECK(co_await comes_true([&] { return all.all.at(made.id).seats.empty(); }));
        CHECK(all.all.at(made.id).server == "two");
        CHECK(two.wall.started == 1);
        CHECK(has_counted(two, "sandboxd_faas_seats_total{result=\"promoted\"} 1"));
    });
}

TEST_CASE("what was deleted ends where it has a seat, too", "[faas]")
{
    memory_index all;
    run(all, [&](machine& one, machine& two) -> asio::awaitable<void> {
        const auto made = co_await deployed(one, milliseconds{0}, 2);
        REQUIRE(co_await doubled(two, made.id));
        CHECK((co_await one.service->remove(made.id)).has_value());
        CHECK(co_await comes_true([&] { return two.service->size() == 0 && two.wall.alive == 0; }));
        CHECK(co_await settled(two, made.id) == "not_found");
        // Or by whom it is deleted.
        const auto again = co_await deployed(one, milliseconds{0}, 2);
        REQUIRE(co_await doubled(two, again.id));
        CHECK((co_await two.service->remove(again.id)).has_value());
        CHECK(two.wall.alive == 0);
        CHECK(co_await comes_true([&] { return one.service->size() == 0 && one.wall.alive == 0; }));
    });
}
