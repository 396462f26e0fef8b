#include "http/exchange.hpp"

#include "base/ascii.hpp"
#include "http/event_stream.hpp"
#include "http/session.hpp"
#include "http/uri.hpp"

#include <algorithm>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

namespace sandboxd::http {

namespace asio = boost::asio;

namespace {

bool sane_id(std::string_view id)
{
    if (id.empty() || id.size() > 128) return false;
    for (const char c : id) {
        const bool fine =
            is_alphanumeric(c) || c == '-' || c == '_' || c == '.' || c == ':' || c == '/' || c == '+' || c == '=';
        if (!fine) return false;
    }
    return true;
}

}  // namespace

// What a request has of its connection, and still needs without it.
struct exchange::alone {
    boost::beast::http::request_header<> header;
    peer from;
    client_key address;
};

exchange::exchange(session& owner) : session_{&owner}
{
    if (!session_->request()) {
        request_id_ = session_->new_request_id();
        return;
    }
    read_target();
    const auto given = (*this)["X-Request-Id"];
    request_id_ = sane_id(given) ? std::string{given} : session_->new_request_id();
}

exchange::exchange(const exchange& of, std::string body)
    : session_{nullptr},
      alone_{std::make_unique<alone>(of.header(), of.from(), of.address())},
      put_back_{std::move(body)},
      tenant_{of.tenant_},
      request_id_{of.request_id_}
{
    set_trace_id(of.trace_id());
    const auto accept = of[field::accept];
    if (wanted_stream(accept) != stream_form::none) alone_->header.erase(field::accept);
    read_target();
}

exchange::~exchange() = default;

void exchange::read_target()
{
    const auto target = header().target();
    const auto parts = split_target({target.data(), target.size()});
    path_ = parts.path;
    query_ = parts.query;
    host_ = parts.authority ? *parts.authority : (*this)[field::host];
}

const boost::beast::http::request_header<>& exchange::header() const noexcept
{
    static const boost::beast::http::request_header<> none;
    if (alone_) return alone_->header;
    return session_->request() ? session_->request()->get() : none;
}

verb exchange::method() const noexcept { return header().method(); }

std::string_view exchange::operator[](field name) const
{
    const auto value = header()[name];
    return {value.data(), value.size()};
}

std::string_view exchange::operator[](std::string_view name) const
{
    const auto value = header()[boost::beast::string_view{name.data(), name.size()}];
    return {value.data(), value.size()};
}

const boost::beast::http::fields& exchange::fields() const { return header(); }

unsigned exchange::version() const noexcept { return header().version(); }

const peer& exchange::from() const { return alone_ ? alone_->from : session_->from(); }

const client_key& exchange::address() const { return alone_ ? alone_->address : session_->address(); }

std::optional<std::uint64_t> exchange::content_length() const
{
    if (put_back_) return put_back_->size();
    if (!session_ || !session_->request()) return std::nullopt;
    const auto announced = session_->request()->content_length();
    return announced ? std::optional<std::uint64_t>{*announced} : std::nullopt;
}

bool exchange::body_done() const
{
    if (put_back_) return put_back_->empty();
    return !session_ || !session_->request() || session_->request()->is_done();
}

std::size_t exchange::buffered() const
{
    if (put_back_) return put_back_->size();
    return session_ ? session_->buffered().size() : 0;
}

void exchange::pace_body(std::chrono::milliseconds idle) noexcept
{
    if (session_) session_->pace_body(idle);
}

void exchange::stop_reading()
{
    if (session_) session_->stop_reading();
}

asio::awaitable<result<std::size_t>> exchange::read_some(std::span<char> into)
{
    if (put_back_) {
        const auto got = put_back_->copy(into.data(), into.size());
        put_back_->erase(0, got);
        co_return got;
    }
    if (!session_) co_return std::size_t{0};
    if (auto wrong = co_await session_->prepare_body()) co_return std::move(*wrong);
    co_return co_await session_->read_body_some(into);
}

asio::awaitable<result<std::string>> exchange::read_body(std::size_t max_bytes)
{
    const auto too_large = [max_bytes] {
        return error{errc::payload_too_large,
                     "the body is larger than " + std::to_string(max_bytes) + " bytes (http.maxBodyBytes)"};
    };
    const auto announced = content_length();
    if (announced && *announced > max_bytes) co_return too_large();
    if (put_back_) {
        std::string given = std::move(*put_back_);
        put_back_.reset();
        co_return given;
    }
    if (!session_) co_return std::string{};
    if (auto wrong = co_await session_->prepare_body()) co_return std::move(*wrong);

    // Grow with the received bytes, not the announced ones, and in pieces: a string copies its contents when it
    // grows, and a hundred that grow at the same time would block the loop.
    constexpr std::size_t step = 16 * 1024;
    constexpr std::size_t piece_bytes = 64 * 1024;
    std::vector<std::string> full;
    std::string piece;
    std::size_t used = 0;  // of the piece
    std::size_t had = 0;
    for (;;) {
        if (had > max_bytes) co_return too_large();
        if (used == piece.size()) {
            if (used > 0) full.push_back(std::move(piece));
            const auto wanted = full.empty() ? step : piece_bytes;
            piece = std::string(announced ? std::min<std::size_t>(wanted, *announced - had + 1) : wanted, '\0');
            used = 0;
            if (const auto held = session_->hold_body(piece.capacity()); !held) co_return held.error();
        }
        const auto room = std::min(step, piece.size() - used);
        const auto got = co_await session_->read_body_some(std::span<char>{piece}.subspan(used, room));
        if (!got) co_return got.error();
        used += *got;
        had += *got;
        if (*got > 0) continue;
        piece.resize(used);
        if (const auto kept = session_->keep_body(full.empty() ? piece.capacity() : had); !kept) co_return kept.error();
        if (full.empty()) co_return piece;
        std::string body;
        body.reserve(had);
        for (auto& one : full) body += std::exchange(one, {});
        body += piece;
        co_return body;
    }
}

void exchange::watch_disconnect()
{
    if (session_) session_->begin_watch();
}

void exchange::watch_disconnect_if_slow() noexcept
{
    if (session_) session_->begin_watch_if_slow();
}

void exchange::end_when_draining()
{
    endless_ = true;
    if (session_ && session_->become_endless()) stop_.request(errc::draining);
}

// Without a connection these are bugs of a handler: it was not asked for a stream.
session& exchange::connected() const
{
    if (!session_) throw std::logic_error("an answer in pieces without a connection");
    return *session_;
}

void exchange::record(const response& head)
{
    if (recording_) recording_->content_type = head.content_type;
}

void exchange::record(std::string_view piece)
{
    if (!recording_ || recording_->is_cut) return;
    if (piece.size() > recording_->most - recording_->body.size()) {
        recording_->is_cut = true;
        recording_->body = {};
    } else {
        recording_->body += piece;
    }
}

void exchange::begin(const response& head, std::optional<std::uint64_t> length)
{
    record(head);
    connected().begin(*this, head, length);
}

void exchange::begin(const raw_head& head, std::optional<std::uint64_t> length)
{
    connected().begin(*this, head, length);
}

bool exchange::begun() const noexcept { return session_ && session_->begun(); }

unsigned exchange::begun_status() const noexcept { return session_ ? session_->begun_status() : 0; }

asio::awaitable<result<void>> exchange::flush() { return connected().flush(); }

asio::awaitable<result<void>> exchange::write(std::string_view piece)
{
    if (piece.empty()) co_return result<void>{};
    record(piece);
    co_return co_await connected().write(piece, false);
}

asio::awaitable<result<void>> exchange::finish(std::string_view piece)
{
    record(piece);
    if (recording_) recording_->is_whole = true;
    return connected().write(piece, true);
}

void exchange::cut() noexcept
{
    if (session_) session_->cut();
}

asio::awaitable<result<void>> exchange::interim(unsigned status, std::string_view fields)
{
    if (version() < 11) co_return result<void>{};
    co_return co_await connected().send_interim(status, fields);
}

asio::awaitable<result<exchange::connection>> exchange::take_over(const raw_head& head)
{
    return connected().take_over(head);
}

void exchange::count_sent(std::uint64_t bytes) noexcept
{
    if (session_) session_->count_sent(bytes);
}

bool exchange::hold_unsent(std::size_t bytes) { return connected().hold_unsent_of_taken(bytes); }

void exchange::release_unsent() noexcept
{
    if (session_) session_->end_sending();
}

void exchange::note_timing(std::string_view name, std::chrono::microseconds spent)
{
    timings_.emplace_back(name, spent);
}

std::optional<std::chrono::microseconds> exchange::timing(std::string_view name) const
{
    for (const auto& [known, spent] : timings_) {
        if (known == name) return spent;
    }
    return std::nullopt;
}

}  // namespace sandboxd::http
