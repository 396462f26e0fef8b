#include "http/connection.hpp"

namespace sandboxd::http {

namespace {

// An unread body of at most this size is read and discarded, to keep the connection.
constexpr std::uint64_t discard_bytes = 64 * 1024;

}  // namespace

clock::time_point answer_until(clock::time_point now, std::chrono::milliseconds patience, std::uint64_t bytes,
                               std::uint64_t bytes_per_sec, clock::duration waited) noexcept
{
    return now + patience + std::chrono::seconds{bytes / bytes_per_sec} - waited;
}

void body_pace::received(std::uint64_t bytes) noexcept
{
    const auto whole = bytes / bytes_per_sec_;
    if (whole >= static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::seconds>(most_spare_).count())) {
        spare_ = most_spare_;  // and nothing overflows
        return;
    }
    const std::chrono::duration<double> rest{static_cast<double>(bytes % bytes_per_sec_) /
                                             static_cast<double>(bytes_per_sec_)};
    spare_ = std::min(clock::duration{most_spare_},
                      spare_ + std::chrono::seconds{whole} + std::chrono::duration_cast<clock::duration>(rest));
}

header_progress judge_header(std::string_view received, std::size_t end, std::size_t max_bytes,
                             std::size_t least_room) noexcept
{
    using step = header_progress::step;
    if (end > max_bytes || (end == 0 && received.size() >= max_bytes)) {
        const bool still_in_target = received.substr(0, max_bytes).find('\r') == std::string_view::npos;
        return {step::refuse, 0, still_in_target ? errc::target_too_long : errc::header_too_large};
    }
    if (end > 0) return {step::complete, end};
    return {step::wait, received.empty() ? least_room : std::min(max_bytes, 2 * received.size())};
}

body_rest rest_of_body(bool is_done, std::optional<std::uint64_t> left, bool expects_continue) noexcept
{
    if (is_done) return body_rest::none;
    return left && *left <= discard_bytes && !expects_continue ? body_rest::small : body_rest::large;
}

bool connection::expire(clock::time_point now) noexcept
{
    bool any = false;
    if (until.read < now) {
        until.read = deadlines::never;
        become(connection_state::read_expired);
        any = true;
    }
    if (until.write < now) {
        until.write = deadlines::never;
        lose_peer();
        any = true;
    }
    return any;
}

errc connection::why_no_header(bool begun) const noexcept
{
    return is_expired() && begun ? errc::request_timeout : errc::disconnected;
}

reuse connection::reuse_after(bool may_persist, body_rest rest) const noexcept
{
    if (!may_persist || !can_read() || rest == body_rest::large) return reuse::no;
    return rest == body_rest::none ? reuse::yes : reuse::after_discard;
}

next_step connection::after_answer(bool reusable, bool abrupt) const noexcept
{
    if (!can_write() || abrupt) return next_step::close;
    return reusable ? next_step::read_header : next_step::linger;
}

void connection::linger(clock::time_point end) noexcept
{
    if (can_write()) state_ = connection_state::open;
    until.read = end;
}

}  // namespace sandboxd::http
