#include "faas/lifecycle.hpp"

#include <algorithm>

namespace sandboxd::faas {

std::string_view name(status which) noexcept
{
    switch (which) {
        case status::stopped: return "Stopped";
        case status::starting: return "Starting";
        case status::running: return "Running";
        case status::crashed: return "Crashed";
        case status::failed: return "Failed";
        case status::completed: return "Completed";
        case status::deleting: break;
    }
    return "Deleting";
}

lifecycle::verdict lifecycle::on_request(clock::time_point now, std::size_t waiting)
{
    used_ = now;
    switch (status_) {
        case status::running: return verdict::forward;
        case status::deleting: return verdict::refuse_gone;
        case status::failed:
            if (now < next_) return verdict::refuse_down;
            break;
        case status::crashed:
            if (next_ <= now) break;
            if (next_ - now > settings_.patience) return verdict::refuse_down;
            return waiting < settings_.max_waiting ? verdict::wait : verdict::refuse_full;
        case status::starting: return waiting < settings_.max_waiting ? verdict::wait : verdict::refuse_full;
        case status::stopped:
        case status::completed: break;
    }
    if (waiting >= settings_.max_waiting) return verdict::refuse_full;
    on_start(now);
    return verdict::start;
}

bool lifecycle::on_start(clock::time_point now)
{
    if (status_ == status::running || status_ == status::starting || status_ == status::deleting) return false;
    status_ = status::starting;
    since_ = now;
    ++starts_;
    return true;
}

void lifecycle::on_ready(clock::time_point now)
{
    if (status_ != status::starting) return;
    status_ = status::running;
    since_ = used_ = now;
}

void lifecycle::on_switched(clock::time_point now)
{
    if (status_ == status::deleting) return;
    status_ = status::running;
    in_a_row_ = 0;
    ++starts_;
    since_ = used_ = now;
}

void lifecycle::on_ended(clock::time_point now, bool clean)
{
    if (status_ != status::starting && status_ != status::running) return;
    if (clean) {
        status_ = status::completed;
        in_a_row_ = 0;
        since_ = now;
        return;
    }
    if (status_ == status::running && now - since_ >= settings_.stable) in_a_row_ = 0;
    crash(now);
}

void lifecycle::on_start_failed(clock::time_point now)
{
    if (status_ == status::starting) crash(now);
}

void lifecycle::crash(clock::time_point now)
{
    ++crashes_;
    ++in_a_row_;
    since_ = now;
    auto pause = settings_.first_pause;
    for (unsigned i = 1; i < in_a_row_ && pause < settings_.longest_pause; ++i) pause *= 2;
    pause = std::min(pause, settings_.longest_pause);
    status_ = in_a_row_ >= settings_.most_crashes ? status::failed : status::crashed;
    if (status_ == status::failed) pause = settings_.longest_pause;
    next_ = now + pause;
}

void lifecycle::on_update() noexcept
{
    in_a_row_ = 0;
    if (status_ == status::failed || status_ == status::crashed) status_ = status::stopped;
}

void lifecycle::on_broken() noexcept
{
    status_ = status::failed;
    next_ = clock::time_point::max();
}

bool lifecycle::on_tick(clock::time_point now, std::size_t active)
{
    if (status_ != status::running || active > 0 || settings_.idle.count() == 0) return false;
    if (now - used_ < settings_.idle) return false;
    status_ = status::stopped;
    since_ = now;
    return true;
}

std::optional<clock::time_point> lifecycle::next_start() const
{
    if (status_ != status::crashed && status_ != status::failed) return std::nullopt;
    if (next_ == clock::time_point::max()) return std::nullopt;
    return next_;
}

}  // namespace sandboxd::faas
