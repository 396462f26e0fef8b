#include "admission/gate.hpp"

#include "base/log.hpp"
#include "base/proc.hpp"
#include "base/text_file.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <charconv>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>

namespace sandboxd::admission {

namespace asio = boost::asio;

namespace {

constexpr auto retry_interval = std::chrono::milliseconds{200};

std::optional<std::uint64_t> read_number(const std::filesystem::path& file)
{
    std::ifstream in{file};
    std::string text;
    if (!(in >> text)) return std::nullopt;
    std::uint64_t value = 0;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (ec != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

}  // namespace

memory_reading read_memory(const std::filesystem::path& cgroup)
{
    memory_reading reading;
    const auto current = read_number(cgroup / "memory.current");
    if (!current) return reading;
    reading.current = *current;
    reading.max = read_number(cgroup / "memory.max");
    return reading;
}

bool memory_is_short(std::string_view meminfo)
{
    const auto all = number_behind(meminfo, "MemTotal:");
    // It is the third line, and the first one has no newline before it.
    const bool told = meminfo.find("\nMemAvailable:") != std::string_view::npos;
    return told && number_behind(meminfo, "\nMemAvailable:") < all / 10;
}

bool memory_is_short() { return memory_is_short(read_text("/proc/meminfo", 8 * 1024)); }

permit::~permit()
{
    if (of_) std::exchange(of_->at_, nullptr)->release(of_->counted_);
}

gate::gate(asio::any_io_executor executor, async::task_group& tasks, gate_settings how, metrics::registry& metrics)
    : executor_{std::move(executor)},
      tasks_{tasks},
      settings_{std::move(how)},
      model_{settings_.limits},
      full_{metrics.add_counter("sandboxd_jobs_refused_total", "Jobs refused before they ran, by cause.",
                                "cause=\"queue_full\"" + (settings_.label.empty() ? "" : "," + settings_.label))},
      timed_out_{
          metrics.add_counter("sandboxd_jobs_refused_total", "",
                              "cause=\"queue_timeout\"" + (settings_.label.empty() ? "" : "," + settings_.label))}
{
    metrics.add_gauge(
        "sandboxd_jobs_running", "Jobs holding a reservation.",
        [this] { return static_cast<double>(model_.running()); }, settings_.label);
    metrics.add_gauge(
        "sandboxd_jobs_queued", "Jobs waiting to start.", [this] { return static_cast<double>(model_.queued()); },
        settings_.label);
    metrics.add_gauge(
        "sandboxd_memory_reserved_bytes", "Memory reserved for running jobs.",
        [this] { return static_cast<double>(model_.reserved_bytes()); }, settings_.label);
    if (!settings_.label.empty()) return;  // all gates share one memory
    metrics.add_gauge("sandboxd_memory_current_bytes", "memory.current of cgroupV2Root; 0 without gating.",
                      [this] { return static_cast<double>(reading().current); });
    metrics.add_gauge("sandboxd_memory_max_bytes", "memory.max of cgroupV2Root; 0 without gating or a limit.",
                      [this] { return static_cast<double>(reading().max.value_or(0)); });
}

memory_reading gate::reading()
{
    if (!settings_.by_memory) return {};
    auto now = read_memory(settings_.cgroup);
    if (!now.max && !warned_) {
        warned_ = true;
        log::warning("memory gating is off: memory.max is 'max', or memory.max or memory.current cannot be read",
                     {{"cgroupV2Root", settings_.cgroup.native()}});
    }
    return now;
}

memory_reading gate::claimed()
{
    auto now = reading();
    if (now.max && settings_.reserved_elsewhere) now.current += settings_.reserved_elsewhere();
    return now;
}

asio::awaitable<result<permit>> gate::acquire(client_key client, async::stop_source& stop)
{
    auto alone = std::make_shared<party>();
    alone->clients_[client] = 1;
    co_return co_await wait_for_turn(std::move(alone), true, stop);
}

asio::awaitable<result<permit>> gate::acquire(std::shared_ptr<party> callers, async::stop_source& stop)
{
    co_return co_await wait_for_turn(std::move(callers), false, stop);
}

// `timed`: the job waits for the queue timeout and no longer. Otherwise each caller does.
asio::awaitable<result<permit>> gate::wait_for_turn(std::shared_ptr<party> callers, bool timed,
                                                    async::stop_source& stop)
{
    if (stop.requested()) co_return make_error(stop.cause());
    std::optional<gate_model::time_point> since;
    if (timed) since = gate_model::time_point::clock::now();
    const auto& clients = callers->clients_;
    const auto ticket = model_.arrive(since, claimed(), clients.begin()->first);
    if (!ticket) {
        full_.add();
        co_return make_error(errc::queue_full);
    }
    for (auto next = std::next(clients.begin()); next != clients.end(); ++next) model_.share(*ticket, next->first);
    callers->at_ = this;
    callers->seat_ = ticket;
    async::event woken{executor_};
    auto& mine = waiting_.emplace(*ticket, waiter{.woken = &woken, .callers = callers.get()}).first->second;
    decide();
    if (!mine.decided) {
        if (const auto ahead = model_.ahead(*ticket)) callers->tell_ahead(*ahead);
        if (!retrying_) {
            retrying_ = true;
            tasks_.spawn("retry the memory gate", retry());
        }
        const async::stop_callback on_stop{stop, [&woken](errc) { woken.set(); }};
        co_await woken.wait();
    }
    const auto decided = mine.decided;
    waiting_.erase(*ticket);
    if (!decided) {
        model_.leave(*ticket);
        callers->seat_.reset();
        callers->at_ = nullptr;
        if (stop.cause() == errc::queue_timeout) timed_out_.add();
        decide();
        co_return make_error(stop.cause());
    }
    switch (*decided) {
        case gate_model::fate::admitted: break;
        case gate_model::fate::timed_out: timed_out_.add(); co_return make_error(errc::queue_timeout);
        case gate_model::fate::gave_way: full_.add(); co_return make_error(errc::queue_full);
    }
    permit granted{std::move(callers)};
    if (stop.requested()) co_return make_error(stop.cause());
    co_return std::move(granted);
}

void gate::release(const client_key& client)
{
    model_.release(client);
    decide();
}

void gate::share(gate_model::ticket whose, const client_key& client)
{
    model_.share(whose, client);
    decide();
}

void gate::stop_sharing(gate_model::ticket whose, const client_key& client)
{
    model_.stop_sharing(whose, client);
    decide();
}

void gate::hand_over(const client_key& from, const client_key& to)
{
    model_.hand_over(from, to);
    decide();
}

void gate::decide()
{
    for (const auto& [whose, fate, client] : model_.poll(gate_model::time_point::clock::now(), claimed())) {
        auto& one = waiting_.at(whose);
        one.decided = fate;
        one.callers->seat_.reset();
        if (fate == gate_model::fate::admitted)
            one.callers->counted_ = client;
        else
            one.callers->at_ = nullptr;
        one.woken->set();
    }
}

asio::awaitable<void> gate::retry()
{
    asio::steady_timer timer{executor_};
    while (model_.queued() > 0) {
        boost::system::error_code ignored;  // nobody cancels this timer
        timer.expires_after(retry_interval);
        co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        decide();
        const auto now = gate_model::time_point::clock::now();
        for (const auto& [whose, one] : waiting_) {
            if (one.decided) continue;
            if (const auto ahead = model_.ahead(whose)) one.callers->tell_ahead(*ahead);
            one.callers->tell_late(now, settings_.limits.queue_timeout);
        }
    }
    retrying_ = false;
}

}  // namespace sandboxd::admission
