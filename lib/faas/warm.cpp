// Programs of stopped deployments that wait in their jails for the next request, their runtimes booted.
#include "async/turns.hpp"
#include "base/counted.hpp"
#include "faas/deployment.hpp"
#include "faas/service.hpp"
#include "init/hold.hpp"
#include "process/memory_watch.hpp"

#include <algorithm>
#include <utility>

namespace sandboxd::faas {

namespace asio = boost::asio;
using std::chrono::milliseconds;

namespace {

// The former program has just ended; requests come first.
constexpr milliseconds idle_moment{30};
// While the processors are busy, or the former program ends, for so long, none boots.
constexpr milliseconds idle_patience{10'000};
// A runtime that has not booted by then is not waited for.
constexpr milliseconds boot_patience{20'000};
// As long as a request waits for one that boots.
constexpr milliseconds rest_of_boot{2'000};
// How often the server looks whether it has booted, and whether its memory is short.
constexpr milliseconds look_at_boot{5};
constexpr milliseconds pressure_interval{1'000};

}  // namespace

void service::add_warm_metrics(metrics::registry& metrics)
{
    const auto all = [this](auto count) {
        double sum = 0;
        for (const auto& [id, d] : deployments_)
            if (d->warm) sum += static_cast<double>(count(*d->warm));
        return sum;
    };
    metrics.add_gauge("sandboxd_faas_warm_runtimes", "Runtimes that have booted and wait for a stopped deployment.",
                      [all] { return all([](const warm_program& one) { return one.has_booted() ? 1 : 0; }); });
    metrics.add_gauge("sandboxd_faas_warm_runtimes_bytes",
                      "Memory of the runtimes that wait or boot (faas.warmMemoryMB).",
                      [this] { return static_cast<double>(waiting_bytes()); });
    const auto starts = [&metrics](const char* help, const char* result) {
        return &metrics.add_counter("sandboxd_faas_warm_runtimes_total", help, result);
    };
    warm_.hits = starts("Starts of programs: a hit found its runtime booted.", "result=\"hit\"");
    warm_.misses = starts("", "result=\"miss\"");
    const auto dropped = [&metrics](const char* help, const char* cause) {
        return &metrics.add_counter("sandboxd_faas_warm_runtimes_dropped_total", help, cause);
    };
    warm_.over_budget =
        dropped("Runtimes that waited, or tried to, and are gone without a request.", "cause=\"budget\"");
    warm_.under_pressure = dropped("", "cause=\"pressure\"");
    warm_.lost = dropped("", "cause=\"ended\"");
    warm_.outdated = dropped("", "cause=\"update\"");
}

bool service::may_wait(const deployment& d) const
{
    if (settings_.warm_bytes == 0 || jail::makes_containers(wall_.which())) return false;
    if (closing_.is_set() || handing_over_ || d.gone.requested()) return false;
    return d.life.current() == status::stopped && !d.warm && !d.cannot_wait && !d.updating;
}

bool service::may_boot() const
{
    if (booting_ || (settings_.memory_is_short && settings_.memory_is_short())) return false;
    // Each running jail has an id, also one that waits: half of them are for those that run.
    if (const auto ids = wall_.uids(); ids && 2 * ids->in_use >= ids->all) return false;
    return !settings_.jobs || 2 * settings_.jobs() < settings_.processors;
}

std::uint64_t service::waiting_bytes() const
{
    std::uint64_t sum = 0;
    for (const auto& [id, d] : deployments_)
        if (d->warm) sum += d->warm->bytes;
    return sum;
}

void service::keep_warm_budget()
{
    while (waiting_bytes() > settings_.warm_bytes) {
        std::shared_ptr<deployment> oldest;
        for (const auto& [id, d] : deployments_)
            if (d->warm && (!oldest || d->warm->since < oldest->warm->since)) oldest = d;
        if (!oldest) return;
        warm_.over_budget->add();
        drop_warm(*oldest);
    }
}

void service::drop_warm(deployment& d)
{
    if (!d.warm) return;
    const auto its = std::exchange(d.warm, nullptr);
    its->program->tell_to_end(errc::draining);
}

void service::drop_outdated(deployment& d)
{
    ++d.changes;
    d.cannot_wait = false;
    if (!d.warm) return;
    warm_.outdated->add();
    drop_warm(d);
}

void service::warm_up_later(const std::shared_ptr<deployment>& d)
{
    if (d->to_warm_up || !may_wait(*d)) return;
    tasks_.spawn("keep a runtime waiting for a deployment", keep_warm(d));
}

asio::awaitable<void> service::keep_warm(std::shared_ptr<deployment> d)
{
    const auto its = co_await begin_in_idle_time(d);
    if (!its) co_return;
    // Nobody else would end it.
    struct drop_it {
        ~drop_it()
        {
            if (of.warm == its) by.drop_warm(of);
        }
        service& by;
        deployment& of;
        const std::shared_ptr<warm_program>& its;
    } const at_end{*this, *d, its};
    co_await follow(d, its);
}

asio::awaitable<std::shared_ptr<warm_program>> service::begin_in_idle_time(std::shared_ptr<deployment> d)
{
    const flagged begins{d->to_warm_up};
    const auto last = clock::now() + idle_patience;
    while (!co_await closing_.wait_for(idle_moment)) {
        if (!may_wait(*d) || clock::now() >= last) break;
        if (!d->going.empty() || !may_boot()) continue;
        auto its = co_await begin_to_wait(d);
        if (its) co_return std::move(*its);
        if (its.error().code != errc::unavailable) break;
    }
    co_return nullptr;
}

asio::awaitable<result<std::shared_ptr<warm_program>>> service::begin_to_wait(std::shared_ptr<deployment> d)
{
    auto pipe = programs::hold_pipe::make(true);
    if (!pipe) co_return make_error(errc::internal);
    const auto held = co_await d->launching.lock();
    if (!may_wait(*d)) co_return make_error(errc::unavailable);
    const auto its = std::make_shared<warm_program>(executor_, std::move(*pipe), d->changes);
    const auto begun = co_await begin_program(d, d->gone, false, its.get());
    if (!begun) co_return begun.error();
    d->warm = its;
    co_return its;
}

asio::awaitable<void> service::follow(std::shared_ptr<deployment> d, std::shared_ptr<warm_program> its)
{
    // Whoever ended all that waited has not seen this one.
    if (closing_.is_set() || handing_over_ || d->gone.requested()) co_return;
    keep_warm_budget();
    {
        const flagged boots{booting_};
        const auto last = clock::now() + boot_patience;
        while (d->warm == its && !its->word->is_read() && clock::now() < last)
            if (co_await its->program->over.wait_for(look_at_boot)) break;
    }
    if (d->warm != its) co_return;
    if (!its->has_booted()) {
        warm_.lost->add();
        // A jail that could not be built says nothing about the next one.
        d->cannot_wait = its->program->channel.begun() == 0;
        co_return;
    }
    async::turns turn;
    const auto use = co_await process::memory_of(*its->leader, {}, turn);
    if (d->warm != its) co_return;
    its->bytes = std::max<std::uint64_t>(use.bytes, 1);
    if (its->bytes > settings_.warm_bytes) {
        warm_.over_budget->add();
        d->cannot_wait = true;
        co_return;
    }
    keep_warm_budget();
    while (d->warm == its) {
        const bool lost = co_await its->program->over.wait_for(pressure_interval);
        if (d->warm != its) co_return;
        const bool pressure = !lost && settings_.memory_is_short && settings_.memory_is_short();
        if (!lost && !pressure) continue;
        (lost ? warm_.lost : warm_.under_pressure)->add();
        co_return;
    }
}

asio::awaitable<std::optional<result<void>>> service::launch_warm(std::shared_ptr<deployment> d,
                                                                  async::stop_source& stop,
                                                                  std::shared_ptr<instance>& started, bool& is_told)
{
    const auto its = std::exchange(d->warm, nullptr);
    if (settings_.warm_bytes > 0) (its && its->has_booted() ? warm_.hits : warm_.misses)->add();
    if (!its) co_return std::nullopt;
    started = its->program;
    // While it waited it did not count. The other way says what is too much.
    if (!installer_.is_within_share(started->payer)) {
        started->tell_to_end(errc::draining);
        started.reset();
        co_return std::nullopt;
    }
    // It has booted for a while, and another one would need longer; but not for ever.
    const auto last = clock::now() + rest_of_boot;
    while (!its->word->is_read() && !stop.requested() && clock::now() < last)
        if (co_await started->over.wait_for(look_at_boot)) break;
    if (!its->word->is_read() && !started->over.is_set() && !stop.requested()) d->cannot_wait = true;
    // Its files may have changed, or it may be gone from here, meanwhile.
    if (!its->has_booted() || stop.requested() || d->changes != its->of_changes) {
        started->tell_to_end(errc::draining);
        started.reset();
        co_return std::nullopt;
    }
    tell_start(*d);
    is_told = true;
    its->begins->set();
    started->begin();
    const auto before = d->last_end;
    auto reached = co_await reach(d, started, stop);
    if (!reached && reached.error().code == errc::start_failed && !started->has_begun()) {
        // Its jail was lost before the program began.
        d->last_end = before;
        started.reset();
        co_return std::nullopt;
    }
    co_return reached;
}

}  // namespace sandboxd::faas
