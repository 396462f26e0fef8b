// Deployments that servers share: which server runs one, how its files come here, and how its lease is kept and lost.
#include "base/counted.hpp"
#include "base/log.hpp"
#include "base/uuid.hpp"
#include "faas/deployment.hpp"
#include "faas/service.hpp"
#include "tenants/tenant.hpp"

#include <algorithm>
#include <array>
#include <exception>
#include <iterator>
#include <utility>

namespace sandboxd::faas {

namespace asio = boost::asio;
using std::chrono::milliseconds;

namespace {

// How often the copies here are compared with the index, and how soon again when it is away: paces of work that nobody
// waits for, a call of Redis for each copy (faas.maxDeployments).
constexpr auto look_pause = std::chrono::seconds{60};
constexpr auto away_pause = std::chrono::seconds{5};
// Deployments that the index may have and must not, at once, and how often it is told so while it is away.
constexpr std::size_t most_forgotten = 64;
constexpr auto forget_pause = std::chrono::seconds{1};
// Copies that the index is asked about to make place for one.
constexpr std::size_t most_looked_at = 16;

// The flight in which a deployment's files come here.
std::string bringing(const std::string& id) { return id + " files"; }

deployment_info info_of(const listing& one)
{
    deployment_info is;
    is.id = one.what.id;
    is.owner = one.what.owner;
    is.sandbox_id = one.what.sandbox_id;
    is.runtime = one.what.runtime;
    is.entry_point = one.what.entry_point;
    is.status = one.server.empty() ? status::stopped : one.state.status;
    is.created = one.what.created;
    is.memory_mb = one.what.memory_mb;
    is.starts = one.state.starts;
    is.restarts = one.state.restarts;
    is.idle = one.what.idle;
    is.max_instances = one.what.max_instances;
    is.revision = one.what.revision;
    is.instances = std::max<std::size_t>(1, one.seats + (one.server.empty() ? 0 : 1));
    return is;
}

// What may start well on another server.
bool has_failed_for_this_host(const deployment& d)
{
    constexpr std::array of_hosts{errc::io, errc::internal, errc::unavailable, errc::install_failed};
    return d.life.current() == status::failed && d.fault && std::ranges::find(of_hosts, *d.fault) != of_hosts.end();
}

}  // namespace

asio::awaitable<result<std::string>> service::settle(std::string id, bool brings, async::stop_source& stop)
{
    if (!others_) co_return std::string{};
    if (const auto d = get(id); d && d->lease) {
        d->wanted_until = clock::now() + 2 * others_->renewal();
        co_return std::string{};
    }
    if (!is_uuid(id)) co_return make_error(errc::not_found);
    const auto found = co_await settling_.join_to_the_end(brings ? bringing(id) : id, stop,
                                                          [this, id, brings] { return take(id, brings); });
    if (!found) co_return make_error(stop.cause());
    co_return *found;
}

asio::awaitable<void> service::ask_for(std::string id)
{
    if (others_) co_await others_->ask_for(std::move(id));
}

asio::awaitable<result<std::string>> service::take(std::string id, bool brings)
{
    if (handing_over_ || closing_.is_set()) {
        const auto seen = co_await others_->look(id);
        if (!seen) co_return seen.error();
        if (seen->server.empty()) co_return make_error(errc::draining);
        co_return seen->server;
    }
    auto who = co_await others_->claim(id);
    if (!who && who.error().code == errc::not_found) {
        servers_.erase(id);
        const auto d = get(id);
        if (!d || !d->broken.empty()) co_return who.error();
        // It was deleted on another server, or the index has lost it.
        const auto told = co_await offer(d, true);
        if (told && *told == fleet::offered::deleted) static_cast<void>(co_await remove_here(d));
        if (told && *told == fleet::offered::deleted) co_return who.error();
        if (!told) co_return told.error();
        who = co_await others_->claim(id);
    }
    if (!who) {
        // What runs goes on, and can be reached.
        if (const auto* const known = servers_.find(id)) co_return known->server;
        co_return who.error();
    }
    if (!who->server.empty()) {
        servers_.set(id, {who->server, who->what.revision, who->what.max_instances});
        if (const auto d = get(id); d && d->lease) lose(d);
        co_return who->server;
    }
    servers_.erase(id);
    if (!brings) co_return std::string{};
    const auto brought = co_await bring(id, who->what.revision);
    if (brought && !handing_over_ && !closing_.is_set()) {
        begin_hold(*brought);
        co_return std::string{};
    }
    co_await others_->give_back(id);
    co_return brought ? make_error(errc::draining) : brought.error();
}

asio::awaitable<result<std::shared_ptr<deployment>>> service::bring(std::string id, std::uint64_t revision)
{
    const auto place = premises_of(id);
    const auto held = co_await place->bringing.lock();
    co_return co_await bring_now(std::move(id), revision);
}

asio::awaitable<result<std::shared_ptr<deployment>>> service::bring_now(std::string id, std::uint64_t revision)
{
    if (const auto d = get(id); d && d->broken.empty() && (d->lease || d->what.revision == revision)) co_return d;
    auto came = co_await others_->fetch(id, revision);
    if (!came && came.error().code == errc::not_found)
        co_return error{
            errc::index_unavailable,
            "the cache that servers share (store.remote) no longer has the deployment's files; delete the deployment, "
            "and deploy it again"};
    if (!came) co_return came.error();
    const file_limits most{.max_files = settings_.files.max_files, .max_bytes = 2 * settings_.files.max_bytes};
    if (const auto checked = check_files(came->files, most); !checked)
        co_return unprocessable(
            "this server does not take the deployment's files (all servers need the same limits): " +
            checked.error().message);
    // A program of another revision ends, before its files change.
    if (const auto former = get(id); former && former->seat) {
        const auto seat = former->seat;
        end_seat(id, seat, seat_event::given_back);
    }
    if (const auto damaged = get(id); damaged && !damaged->broken.empty())
        static_cast<void>(co_await remove_here(damaged));
    // Asked apart: GCC 14 cannot compile a co_await in one condition with a temporary before it.
    const bool is_new = !get(id);
    if (is_new && has_no_place() && !co_await make_place())
        co_return error{
            errc::queue_full,
            "this server has as many deployments as it may (faas.maxDeployments), and all of them are in use; try "
            "again later"};
    auto text = to_text(came->what);
    auto d = get(id);
    std::optional<counted> coming;
    if (!d) coming.emplace(deploying_);
    // Whatever still uses the directory goes first: a removal, or an update of the one that had the lease.
    const auto place = premises_of(id);
    const auto held = co_await place->disk.lock();
    if (get(id) != d || (d && d->gone.requested()))
        co_return d && d->gone.requested() ? d->why_gone() : make_error(errc::not_found);
    if (!d) {
        const auto written = co_await store_->create(id, std::move(text), std::move(came->files));
        if (!written) co_return written.error();
        d = add(std::move(came->what));
    } else {
        drop_outdated(*d);
        auto written = co_await store_->update(id, std::move(came->files), d->tasks.size() > 0, true);
        if (written) written = co_await store_->describe(id, std::move(text));
        if (!written) co_return written.error();
        // It was deleted, or has gone to another server again.
        if (get(id) != d) co_return d->gone.requested() ? d->why_gone() : make_error(errc::not_found);
        d->what = std::move(came->what);
        d->bytes.reset();
    }
    d->package_key = package_key(*d);
    if (!d->what.owner.empty()) d->payer = tenants::client_of_tenant(d->what.owner);
    d->log.say("files of revision " + std::to_string(d->what.revision) + " fetched from the cache");
    co_return d;
}

void service::forget_later(std::string id)
{
    if (forgetting_ >= most_forgotten) {
        log::warning("the index may have a deployment whose client was told that it is not there", {{"id", id}});
        return;
    }
    tasks_.spawn("take a deployment out of the index", keep_forgetting(std::move(id)));
}

asio::awaitable<void> service::keep_forgetting(std::string id)
{
    const counted one{forgetting_};
    // What was sent on a connection that has ended may be done after the first answer.
    for (int answers = 0; answers < 2;) {
        const auto was_there = co_await others_->forget(id);
        if (was_there && *was_there) co_return;
        if (was_there) ++answers;
        if (co_await closing_.wait_for(forget_pause)) co_return;
    }
}

bool service::is_unused(const deployment& d) const
{
    return !d.lease && !seats_.contains(d.what.id) && !d.updating && d.active == 0 && d.waiters.empty() &&
           d.working_tasks() == 0 && !settling_.under_way(bringing(d.what.id));
}

asio::awaitable<bool> service::make_place()
{
    std::vector<std::shared_ptr<deployment>> unused;
    for (const auto& [id, d] : deployments_)
        if (is_unused(*d) && d->broken.empty() && d->what.revision > 0) unused.push_back(d);
    std::ranges::sort(unused, {}, [](const auto& d) { return d->wanted_until; });
    if (unused.size() > most_looked_at) unused.resize(most_looked_at);
    for (const auto& d : unused) {
        if (!has_no_place()) break;
        // What the index does not have is nowhere but here.
        const auto known = co_await others_->look(d->what.id);
        if (!known && known.error().code != errc::not_found) co_return false;
        if (!known || known->what.revision < d->what.revision) continue;
        if (get(d->what.id) != d || !is_unused(*d)) continue;
        static_cast<void>(co_await remove_here(d));
    }
    co_return !has_no_place();
}

void service::begin_hold(const std::shared_ptr<deployment>& d)
{
    d->wanted_until = clock::now() + 2 * others_->renewal();
    if (d->lease) return;
    const auto id = d->what.id;
    if (const auto found = seats_.find(id); found != seats_.end()) {
        const auto seat = found->second;
        drop_seat(id, seat, seat_event::promoted);
        tasks_.spawn("give a seat of a deployment back", others_->give_seat_back(id));
    }
    d->lease = std::make_shared<async::event>(executor_);
    try {
        tasks_.spawn("keep the lease of a deployment", hold(d, d->lease));
    } catch (...) {
        d->lease.reset();
        throw;
    }
}

bool service::needs_lease(const deployment& d) const
{
    const auto now = d.life.current();
    return (now != status::stopped && now != status::completed && !has_failed_for_this_host(d)) || d.active > 0 ||
           d.updating || !d.waiters.empty() || d.working_tasks() > 0 || clock::now() < d.wanted_until;
}

asio::awaitable<void> service::hold(std::shared_ptr<deployment> d, std::shared_ptr<async::event> lease)
{
    while (!co_await lease->wait_for(others_->renewal())) {
        bool goes_on = true;
        try {
            goes_on = co_await renew(d, *lease);
        } catch (const std::exception& thrown) {
            // Whoever stops renewing leaves a program that nobody ends.
            log::warning("the lease of a deployment cannot be renewed", {{"id", d->what.id}, {"cause", thrown.what()}});
        }
        if (!goes_on) co_return;
    }
}

// False: it is not this server's any more.
asio::awaitable<bool> service::renew(std::shared_ptr<deployment> d, async::event& lease)
{
    const auto id = d->what.id;
    if (!needs_lease(*d) || closing_.is_set() || get(id) != d) {
        // In this order: who claims it from here on asks behind this.
        d->lease.reset();
        co_await others_->give_back(id);
        co_return false;
    }
    const told_state state{d->life.current(), d->life.starts(), d->life.crashes()};
    const auto held = co_await others_->renew(id, state);
    if (lease.is_set()) co_return false;
    // While the index says nothing, what runs goes on.
    if (!held || *held == fleet::held::mine) co_return true;
    if (*held == fleet::held::wanted) {
        log::info("another server cannot reach this one, and takes a deployment that runs here; the program ends",
                  {{"id", id}});
        lose(d);
        co_return false;
    }
    if (*held == fleet::held::others) {
        log::warning("another server has the lease of a deployment that runs here; the program ends", {{"id", id}});
        lose(d);
        co_return false;
    }
    if (*held == fleet::held::unknown) {
        log::warning("Redis has lost a deployment that runs here; this server writes it again", {{"id", id}});
        const auto told = co_await offer(d, true);
        if (lease.is_set()) co_return false;
        if (!told || *told != fleet::offered::deleted) co_return true;
    }
    if (const auto removed = co_await remove_here(d); !removed)
        log::warning("cannot remove a deployment that was deleted on another server",
                     {{"id", id}, {"cause", removed.error().message}});
    co_return false;
}

void service::lose(const std::shared_ptr<deployment>& d)
{
    if (d->lease) std::exchange(d->lease, nullptr)->set();
    if (get(d->what.id) != d) return;
    auto what = d->what;
    deployments_.erase(what.id);
    sandboxes_.erase(what.sandbox_id);
    d->life.on_delete();
    d->wake(moved());
    d->log.wake();
    // What it has begun to answer, it answers.
    if (d->current) retire(d, std::exchange(d->current, nullptr), settings_.drain_grace);
    drop_warm(*d);
    // `gone` ends a program that is starting.
    d->gone.request(errc::index_unavailable);
    const auto copy = add(std::move(what));
    copy->package_key = d->package_key;
    copy->payer = d->payer;
}

void service::hand_over()
{
    if (!others_ || handing_over_) return;
    handing_over_ = true;
    const auto seats = seats_;
    for (const auto& [id, seat] : seats) end_seat(id, seat, seat_event::given_back);
    std::vector<std::shared_ptr<deployment>> mine;
    for (const auto& [id, d] : deployments_) {
        drop_warm(*d);
        if (d->lease) mine.push_back(d);
    }
    for (const auto& d : mine) {
        lose(d);
        tasks_.spawn("give the lease of a deployment back", others_->give_back(d->what.id));
    }
}

asio::awaitable<result<std::vector<deployment_file>>> service::files_with(std::string id,
                                                                          std::vector<deployment_file> newer)
{
    auto all = co_await store_->read_all(id, 2 * settings_.files.max_bytes);
    if (!all) co_return all;
    std::erase_if(*all, [&newer](const auto& one) {
        return std::ranges::find(newer, one.path, &deployment_file::path) != newer.end();
    });
    std::ranges::move(newer, std::back_inserter(*all));
    co_return all;
}

asio::awaitable<result<fleet::offered>> service::offer(std::shared_ptr<deployment> d, bool here)
{
    auto what = d->what;
    if (what.revision == 0) what.revision = 1;
    const auto there = co_await files_of(d);
    if (!there) co_return there.error();
    const auto room = others_->make_room(d->payer.value_or(client_key{}), there->bytes);
    if (!room) co_return room.error();
    auto files = co_await files_with(what.id, {});
    if (!files) co_return files.error();
    const auto told = co_await others_->offer(what, std::move(*files), here);
    if (!told) co_return told.error();
    if (d->what.revision == 0 && *told == fleet::offered::taken) {
        // One of a server that shared nothing.
        const auto held = co_await d->disk.lock();
        d->what.revision = what.revision;
        if (const auto written = co_await store_->describe(what.id, to_text(d->what)); !written)
            co_return written.error();
    }
    co_return *told;
}

// The copies here: what is in no index, since it was made before servers shared, or Redis has lost it, is told; what
// was deleted elsewhere goes.
asio::awaitable<void> service::offer_all()
{
    do {
        std::vector<std::shared_ptr<deployment>> copies;
        for (const auto& [id, d] : deployments_)
            if (!d->lease && !d->seat && d->broken.empty()) copies.push_back(d);
        while (!copies.empty()) {
            bool is_away = false;
            try {
                is_away = !co_await offer_copy(copies.back());
            } catch (const std::exception& thrown) {
                log::warning("a copy of a deployment cannot be compared with Redis", {{"cause", thrown.what()}});
            }
            if (closing_.is_set()) co_return;
            // What cannot be asked now is asked at the next round, too.
            if (is_away) break;
            copies.pop_back();
        }
        if (copies.empty())
            co_await closing_.wait_for(look_pause);
        else
            co_await closing_.wait_for(away_pause);
    } while (!closing_.is_set());
}

// False: the index is away, or too much is on its way to the cache.
asio::awaitable<bool> service::offer_copy(std::shared_ptr<deployment> d)
{
    const auto is_mine = [&] { return get(d->what.id) != d || d->lease || d->seat; };
    if (is_mine()) co_return true;
    const auto known = co_await others_->look(d->what.id);
    if (!known && known.error().code != errc::not_found) co_return false;
    if (is_mine() || (known && known->what.revision >= d->what.revision)) co_return true;
    const auto told = co_await offer(d, false);
    if (!told && (told.error().code == errc::index_unavailable || told.error().code == errc::queue_full))
        co_return false;
    if (!told)
        log::warning("a deployment cannot be shared with other servers",
                     {{"id", d->what.id}, {"cause", told.error().message}});
    if (told && *told == fleet::offered::deleted && !is_mine()) static_cast<void>(co_await remove_here(d));
    co_return true;
}

asio::awaitable<result<std::vector<deployment_info>>> service::list(std::optional<std::string> owner)
{
    std::vector<deployment_info> all;
    if (others_) {
        const auto listed = co_await others_->list(std::move(owner));
        if (!listed) co_return listed.error();
        for (const auto& one : *listed) {
            const auto d = get(one.what.id);
            all.push_back(d && d->lease ? info_of(*d) : faas::info_of(one));
            if (d && d->lease) all.back().instances = 1 + one.seats;
        }
    } else {
        for (const auto& [id, d] : deployments_)
            if (!owner || d->what.owner == *owner) all.push_back(info_of(*d));
    }
    std::ranges::sort(
        all, [](const auto& a, const auto& b) { return a.created != b.created ? a.created < b.created : a.id < b.id; });
    co_return all;
}

asio::awaitable<result<service::sight>> service::look(std::string id)
{
    const auto d = get(id);
    if (d && (!others_ || d->lease)) {
        sight mine{info_of(*d), {}};
        if (others_ && d->what.max_instances > 1) {
            const auto seen = co_await others_->look(id);
            if (seen) mine.info.instances = 1 + seen->seats;
        }
        co_return mine;
    }
    if (!others_ || !is_uuid(id)) co_return make_error(errc::not_found);
    const auto seen = co_await others_->look(id);
    if (!seen) co_return seen.error();
    auto info = faas::info_of(*seen);
    // Of what is stopped, this server may know why.
    if (const auto here = get(id); here && seen->server.empty() && here->what.revision == seen->what.revision) {
        const auto instances = info.instances;
        info = info_of(*here);
        info.instances = instances;
        if (!here->seat) info.status = status::stopped;
    }
    co_return sight{std::move(info), seen->server};
}

asio::awaitable<result<std::string>> service::owner_of(std::string id)
{
    if (const auto d = get(id)) co_return d->what.owner;
    auto seen = co_await look(std::move(id));
    if (!seen) co_return seen.error();
    co_return std::move(seen->info.owner);
}

asio::awaitable<result<std::string>> service::by_sandbox(std::string sandbox_id)
{
    if (const auto found = sandboxes_.find(sandbox_id); found != sandboxes_.end()) co_return found->second;
    if (!others_ || !is_uuid(sandbox_id)) co_return make_error(errc::not_found);
    co_return co_await others_->by_sandbox(std::move(sandbox_id));
}

}  // namespace sandboxd::faas
