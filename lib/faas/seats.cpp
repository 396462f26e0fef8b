// Seats of deployments that other servers own: when this one takes one, how it is kept, and how it ends.
#include "base/log.hpp"
#include "faas/deployment.hpp"
#include "faas/service.hpp"

#include <algorithm>
#include <exception>
#include <string_view>
#include <utility>

namespace sandboxd::faas {

namespace asio = boost::asio;
using std::chrono::milliseconds;

namespace {

// By service::seat_event.
constexpr std::array<std::string_view, 10> names_of_seat_events{
    "taken", "refused", "failed", "idle", "revised", "deleted", "lost", "unheard", "promoted", "given_back"};
// Pauses double no more often.
constexpr unsigned most_failures = 16;

}  // namespace

void service::add_seat_metrics(metrics::registry& metrics)
{
    for (std::size_t i = 0; i < names_of_seat_events.size(); ++i)
        seat_events_.at(i) =
            &metrics.add_counter("sandboxd_faas_seats_total", "Seats of deployments by what came of them.",
                                 "result=\"" + std::string{names_of_seat_events.at(i)} + "\"");
    for (const bool by_seat : {false, true}) {
        metrics.add_gauge(
            "sandboxd_faas_programs", "Programs of deployments that are reachable, by what lets them run here.",
            [this, by_seat] {
                return static_cast<double>(std::ranges::count_if(deployments_, [by_seat](const auto& one) {
                    return one.second->current && (one.second->seat != nullptr) == by_seat;
                }));
            },
            by_seat ? "role=\"seat\"" : "role=\"owner\"");
    }
}

service::passage service::pass_on(const std::string& id, const client_key& client)
{
    const auto* const to = servers_.find(id);
    if (settings_.scale_up_requests == 0 || !to || to->max_instances < 2) return passage{nullptr};
    auto& its = scaling_[id];
    passage mine{&its.passing};
    if (its.passing > settings_.scale_up_requests) scale_up(id, *to, its, client);
    return mine;
}

bool service::has_seat(const std::string& id) const
{
    const auto d = get(id);
    return d && d->seat && d->current && d->life.current() == status::running && d->active < settings_.max_requests &&
           clock::now() < d->seat->until;
}

void service::scale_up(const std::string& id, const known_owner& of, scaling& its, const client_key& client)
{
    if (handing_over_ || closing_.is_set() || its.is_trying || seats_.contains(id)) return;
    if (const auto d = get(id); d && d->lease) return;
    // What failed was another revision.
    if (std::exchange(its.revision, of.revision) != of.revision) {
        its.failures = 0;
        its.next = {};
    }
    if (clock::now() < its.next) return;
    if (!has_place_for_seat()) {
        count(seat_event::refused);
        its.next = clock::now() + others_->renewal();
        return;
    }
    its.is_trying = true;
    try {
        tasks_.spawn("take a seat of a deployment", take_seat(id, of, client));
    } catch (...) {
        its.is_trying = false;
        throw;
    }
}

asio::awaitable<void> service::take_seat(std::string id, known_owner of, client_key client)
{
    auto& its = scaling_[id];
    struct finish {
        ~finish() { its.is_trying = false; }
        scaling& its;
    } const at_end{its};
    const auto asked = clock::now();
    const auto came = co_await others_->take_seat(id, of.revision, std::min(of.max_instances, settings_.max_instances));
    if (!came || *came != fleet::seat_taken::here) {
        count(came ? seat_event::refused : seat_event::unheard);
        its.next = clock::now() + others_->renewal();
        co_return;
    }
    if (handing_over_ || closing_.is_set() || !has_place_for_seat()) {
        count(seat_event::given_back);
        its.next = clock::now() + others_->renewal();
        co_await others_->give_seat_back(id);
        co_return;
    }
    const auto seat = std::make_shared<held_seat>(executor_, of.revision, asked, others_->lease_time());
    seats_[id] = seat;
    std::string why;
    try {
        tasks_.spawn("keep a seat of a deployment", keep_seat(id, seat));
        const auto brought = co_await bring(id, of.revision);
        // Whoever has ended it has said why.
        if (seat->over.is_set()) co_return;
        if (brought && (*brought)->lease) {  // it was nobody's meanwhile
            end_seat(id, seat, seat_event::given_back);
            co_return;
        }
        if (brought) {
            const auto& d = *brought;
            log::info("many requests come here: a deployment runs on this server, too", {{"id", id}});
            d->seat = seat;
            if (!d->payer) d->payer = client;
            count(seat_event::taken);
            begin_start(d);
            co_return;
        }
        why = brought.error().message;
    } catch (const std::exception& thrown) {
        why = thrown.what();
    }
    log::warning("a deployment cannot run on this server, too", {{"id", id}, {"cause", why}});
    fail_seat(id, seat);
}

asio::awaitable<void> service::keep_seat(std::string id, std::shared_ptr<held_seat> seat)
{
    bool goes_on = true;
    while (goes_on) {
        const auto left = std::max(seat->until - clock::now(), clock::duration::zero());
        if (co_await seat->over.wait_for(std::min<clock::duration>(left, others_->renewal()))) co_return;
        try {
            goes_on = co_await renew_seat(id, seat);
        } catch (const std::exception& thrown) {
            // Whoever stops renewing leaves a program that nobody ends.
            log::warning("a seat of a deployment cannot be renewed", {{"id", id}, {"cause", thrown.what()}});
        }
    }
}

// False: it is not this server's any more.
asio::awaitable<bool> service::renew_seat(std::string id, std::shared_ptr<held_seat> seat)
{
    const auto asked = clock::now();
    if (asked >= seat->until) {
        log::warning(
            "Redis has not answered for as long as a seat of a deployment lasts (cluster.leaseSecs); the program ends "
            "here",
            {{"id", id}});
        end_seat(id, seat, seat_event::unheard);
        co_return false;
    }
    const auto before = get(id);
    const bool may_own = before && before->seat == seat && before->life.current() == status::running;
    const auto said = co_await others_->renew_seat(id, seat->revision, may_own);
    const auto d = get(id);
    const bool runs = d && d->seat == seat && !seat->over.is_set();
    if (said && *said == fleet::seat_held::owner) {
        if (runs) {
            log::info("no other server owns a deployment that runs here; this one does now", {{"id", id}});
            servers_.erase(id);
            drop_seat(id, seat, seat_event::promoted);
            begin_hold(d);
            co_return false;
        }
        end_seat(id, seat, seat_event::lost);
        if (!d || !d->lease) co_await others_->give_back(id);
        co_return false;
    }
    if (seat->over.is_set()) co_return false;
    // What it said last holds for its time.
    if (!said) co_return true;
    if (*said == fleet::seat_held::mine) {
        seat->until = asked + others_->lease_time();
        co_return true;
    }
    if (*said != fleet::seat_held::deleted) {
        const bool is_revised = *said == fleet::seat_held::revised;
        if (!is_revised)
            log::warning("Redis no longer has the seat of a deployment that runs here; the program ends", {{"id", id}});
        end_seat(id, seat, is_revised ? seat_event::revised : seat_event::lost);
    } else if (!runs) {
        drop_seat(id, seat, seat_event::deleted);
    } else if (const auto removed = co_await remove_here(d); !removed) {
        log::warning("cannot remove a deployment that was deleted on another server",
                     {{"id", id}, {"cause", removed.error().message}});
    }
    co_return false;
}

void service::drop_seat(const std::string& id, const std::shared_ptr<held_seat>& seat, seat_event why)
{
    if (seat->over.is_set()) return;
    seat->over.set();
    count(why);
    std::erase_if(seats_, [&seat](const auto& one) { return one.second == seat; });
    if (const auto d = get(id); d && d->seat == seat) d->seat.reset();
}

void service::end_seat(const std::string& id, const std::shared_ptr<held_seat>& seat, seat_event why)
{
    if (seat->over.is_set()) return;
    const auto d = get(id);
    const bool runs = d && d->seat == seat;
    drop_seat(id, seat, why);
    if (runs) lose(d);
    if (why == seat_event::lost || why == seat_event::revised) return;
    tasks_.spawn("give a seat of a deployment back", others_->give_seat_back(id));
}

void service::fail_seat(const std::string& id, const std::shared_ptr<held_seat>& seat)
{
    if (seat->over.is_set()) return;
    const auto now = clock::now();
    auto& its = scaling_[id];
    const bool ran_well = now - seat->taken >= settings_.life.stable;
    its.failures = ran_well ? 1 : std::min(its.failures + 1, most_failures);
    its.revision = seat->revision;
    const milliseconds pause = others_->renewal() * (1u << (its.failures - 1));
    its.next = now + std::min(pause, settings_.life.longest_pause);
    end_seat(id, seat, seat_event::failed);
}

bool service::is_idle(const deployment& d, clock::time_point now) const
{
    if (!d.seat || !d.current || d.life.current() != status::running || d.active > 0) return false;
    const auto own = d.what.idle.count() > 0 ? d.what.idle : settings_.seat_idle;
    return now - d.life.used() >= std::min(own, settings_.seat_idle);
}

void service::end_unused_seats()
{
    const auto now = clock::now();
    const auto seats = seats_;
    for (const auto& [id, seat] : seats) {
        const auto d = get(id);
        if (!d || d->seat != seat || !is_idle(*d, now)) continue;
        idle_stops_.add();
        end_seat(id, seat, seat_event::idle);
    }
    std::erase_if(scaling_, [this, now](const auto& one) {
        const auto& its = one.second;
        // Load that comes and goes makes the pauses no shorter.
        const auto known = its.failures > 0 ? settings_.life.longest_pause : milliseconds{0};
        return its.passing == 0 && !its.is_trying && its.next + known <= now;
    });
}

}  // namespace sandboxd::faas
