#include "http/session.hpp"

#include "base/log.hpp"
#include "http/field_text.hpp"
#include "http/forwarded.hpp"
#include "http/gate.hpp"
#include "http/head_text.hpp"
#include "http/server.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/error.hpp>

#include <sys/sendfile.h>

#include <algorithm>
#include <array>
#include <exception>
#include <utility>

namespace sandboxd::http {

namespace asio = boost::asio;
namespace beast_http = boost::beast::http;
using boost::system::error_code;

namespace {

// Enough for a browser's request header; a connection that waits holds no more.
constexpr std::size_t idle_buffer_bytes = 2 * 1024;
constexpr std::size_t receive_bytes = 16 * 1024;
// A pipelining client may send this much behind a request that is being answered.
constexpr std::size_t watch_buffer_bytes = 2 * 1024;
// So much of a connection's buffer is not counted: a small request can always be read, whatever others send.
constexpr std::size_t uncounted_buffer_bytes = 4 * 1024;
// Nor is a complete body of this size: a small request can always wait.
constexpr std::size_t uncounted_body_bytes = 16 * 1024;
// A body that nobody read and that is no larger than this is read away to keep the connection.
constexpr std::size_t discard_bytes = 64 * 1024;
constexpr auto linger_time = std::chrono::seconds{2};
// As much as a proxy may send of a body that is refused for its length: nginx gives up an answer that it has not read
// when it cannot send all.
constexpr std::size_t linger_bytes = 8 * 1024 * 1024;
// The client went away before it was answered: for log and metrics only, as nginx has it.
constexpr unsigned status_client_closed = 499;

}  // namespace

session::session(server& owner, stream_socket socket, peer from)
    : server_{owner}, socket_{std::move(socket)}, peer_{std::move(from)}
{
    server_.sessions_.enter(*this);
    on_chunk_ = [](std::uint64_t, boost::beast::string_view extensions, error_code& ec) {
        if (extensions.size() > max_chunk_extension_bytes) ec = beast_http::error::bad_chunk_extension;
    };
}

session::~session()
{
    release_body();
    server_.received_.give(buffer_held_);
    release_unsent();
    server_.sessions_.leave(*this);
}

bool session::hold_body(std::size_t bytes)
{
    if (aborted_ || !server_.make_fit_received(*this, bytes)) return false;
    server_.received_.take(bytes);
    body_held_ += bytes;
    return true;
}

void session::release_body() noexcept
{
    server_.received_.give(std::exchange(body_held_, 0));
    server_.pending_.give(std::exchange(pending_held_, 0));
}

bool session::keep_body(std::size_t bytes)
{
    release_body();
    if (buffered().empty() && buffer_.capacity() > uncounted_buffer_bytes) {
        std::string(idle_buffer_bytes, '\0').swap(buffer_);
        hold_buffer();  // gives back
    }
    if (aborted_) return false;
    if (bytes <= uncounted_body_bytes) return true;
    if (!server_.pending_.fits(bytes)) return false;
    server_.pending_.take(bytes);
    pending_held_ = bytes;
    return true;
}

bool session::hold_buffer()
{
    const auto size = std::max(buffer_.capacity(), uncounted_buffer_bytes) - uncounted_buffer_bytes;
    if (size <= buffer_held_) {
        server_.received_.give(buffer_held_ - size);
    } else {
        if (!server_.make_fit_received(*this, size - buffer_held_)) return false;
        server_.received_.take(size - buffer_held_);
    }
    buffer_held_ = size;
    return true;
}

bool session::hold_unsent(std::size_t bytes)
{
    if (aborted_ || !server_.make_fit_unsent(*this, bytes)) return false;
    server_.unsent_.take(bytes);
    unsent_ += bytes;
    return true;
}

void session::release_unsent() noexcept { server_.unsent_.give(std::exchange(unsent_, 0)); }

void session::expire(clock::time_point now)
{
    if (deadline_ < now) {
        timed_out_ = true;
        deadline_ = clock::time_point::max();
    }
    if (write_deadline_ < now) {
        write_timed_out_ = true;
        write_deadline_ = clock::time_point::max();
    }
    server_.expired_.add();
    error_code ignored;  // cancelling what is not waiting is not an error
    socket_.cancel(ignored);
}

void session::abort()
{
    aborted_ = true;
    // Its memory goes as soon as it is woken: whoever needs the room need not wait.
    release_body();
    server_.received_.give(std::exchange(buffer_held_, 0));
    release_unsent();
    // It has been chosen; the next to be evicted is another. Who is busy already stays where he is: each() would meet
    // him again and again.
    if (phase_ != phase::busy) server_.sessions_.move(*this, phase::busy);
    error_code ignored;  // the peer may be gone already
    socket_.shutdown(stream_socket::shutdown_both, ignored);
    socket_.cancel(ignored);
}

void session::stop_request(errc cause)
{
    if (current_) current_->stop_.request(cause);
}

void session::stop_endless_request(errc cause)
{
    if (current_ && current_->endless_) current_->stop_.request(cause);
}

asio::awaitable<void> session::run()
{
    bool clean_end = true;
    for (;;) {
        parser_.reset();
        body_started_ = false;
        if (stream_) stream_.reset();
        if (body_idle_) body_idle_.reset();
        const auto wrong = co_await read_header();
        if (wrong && wrong->code == errc::disconnected) break;

        const auto started = clock::now();
        began_ = started;
        server_.request_started();
        exchange x{*this};
        current_ = &x;
        response r;
        if (wrong) {
            r = server_.hooks_.refuse(*wrong, x);
            r.close = true;
        } else {
            r = co_await answer(x);
            // Whatever became of the body: from here on it is being answered.
            if (phase_ == phase::body) server_.sessions_.move(*this, phase::busy);
            release_body();
        }
        co_await end_watch();
        clean_end = stream_ ? co_await close_stream(x) : co_await send(x, r);
        const auto total = std::chrono::duration_cast<std::chrono::microseconds>(clock::now() - started);
        if (stream_) {
            const bool cut = !stream_->ended && !stream_->taken;
            const bool gone = cut && (peer_gone_ || aborted_);
            server_.hooks_.observe({x, gone ? status_client_closed : stream_->status, stream_->sent, total, cut});
        } else {
            const bool gone = peer_gone_ || aborted_;
            server_.hooks_.observe({x, gone ? status_client_closed : r.status, gone ? 0 : r.body_bytes(), total});
        }
        current_ = nullptr;
        server_.request_ended();
        if (!clean_end) break;
    }
    if (!clean_end && !(stream_ && stream_->abrupt())) co_await linger();
}

void session::consume(std::size_t bytes) noexcept
{
    begin_ += bytes;
    if (begin_ == end_) begin_ = end_ = 0;
}

bool session::make_room(std::size_t bytes)
{
    if (buffer_.size() - end_ >= bytes) return true;
    if (begin_ > 0) {
        buffer_.erase(0, begin_);
        end_ -= begin_;
        begin_ = 0;
    }
    if (buffer_.size() < end_ + bytes) buffer_.resize(end_ + bytes);
    return hold_buffer();
}

asio::awaitable<bool> session::receive(std::size_t at_most)
{
    if (timed_out_ || aborted_ || reading_stopped_) co_return false;
    if (!make_room(at_most)) {
        peer_gone_ = true;
        co_return false;
    }
    error_code ec;
    const auto got = co_await socket_.async_read_some(asio::buffer(buffer_.data() + end_, buffer_.size() - end_),
                                                      asio::redirect_error(asio::use_awaitable, ec));
    end_ += got;
    if (!ec) co_return true;
    if (!timed_out_ && !reading_stopped_) peer_gone_ = true;
    co_return false;
}

asio::awaitable<std::optional<error>> session::read_header()
{
    const auto now = clock::now();
    bool idle = buffered().empty();
    if (!aborted_) server_.sessions_.move(*this, idle ? phase::idle : phase::header);
    deadline_ = now + (idle ? server_.limits_.idle_timeout : server_.limits_.header_timeout);
    if (idle && buffer_.size() > 2 * idle_buffer_bytes) {
        std::string(idle_buffer_bytes, '\0').swap(buffer_);
        hold_buffer();  // gives back
    }

    const auto limit = server_.limits_.header_bytes;
    std::size_t scanned = 0;
    std::size_t size = 0;
    for (;;) {
        // An empty line before the request line is let pass: RFC 9112 2.2.
        if (scanned == 0 && buffered().starts_with("\r\n")) consume(2);
        const auto found = find_header_end(buffered(), scanned);
        if (!found) co_return found.error();
        size = *found;
        if (size > limit || (size == 0 && buffered().size() >= limit)) {
            const bool still_in_target = buffered().substr(0, limit).find('\r') == std::string_view::npos;
            co_return make_error(still_in_target ? errc::target_too_long : errc::header_too_large);
        }
        if (size > 0) break;
        const auto room = buffered().empty() ? idle_buffer_bytes : std::min(limit, 2 * buffered().size());
        if (!co_await receive(room)) {
            if (timed_out_ && !idle) co_return make_error(errc::request_timeout);
            co_return make_error(errc::disconnected);
        }
        if (idle) {
            idle = false;
            server_.sessions_.move(*this, phase::header);
            deadline_ = clock::now() + server_.limits_.header_timeout;
        }
    }
    deadline_ = clock::time_point::max();
    server_.sessions_.move(*this, phase::busy);

    const auto header = buffered().substr(0, size);
    const gate_limits bounds{.target_bytes = server_.limits_.target_bytes};
    if (auto refused = check_header(header, bounds)) co_return refused;

    parser_.emplace();
    parser_->header_limit(static_cast<std::uint32_t>(limit) + 1);
    parser_->body_limit(boost::none);
    parser_->on_chunk_header(on_chunk_);
    error_code ec;
    const auto used = parser_->put(asio::buffer(header.data(), header.size()), ec);
    if (ec || !parser_->is_header_done()) {
        parser_.reset();
        co_return error{errc::invalid_request, "the header is malformed: " + ec.message()};
    }
    consume(used);
    co_return std::nullopt;
}

std::optional<response> session::refuse_excess(exchange& x)
{
    const auto most = server_.limits_.requests_a_minute;
    const auto method = x.method();
    if (most == 0 || method == verb::get || method == verb::head || method == verb::options) return std::nullopt;
    auto client = peer_.client;
    if (peer_.local || server_.limits_.trust_forwarded) {
        // A proxy is asked whom it speaks for: what it has added itself, behind all that its client says.
        std::optional<std::string_view> last;
        for (const auto& one : x.fields())
            if (same_word({one.name_string().data(), one.name_string().size()}, "X-Forwarded-For"))
                last = {one.value().data(), one.value().size()};
        if (const auto named = last ? client_of(last_hop(*last)) : std::nullopt)
            client = *named;
        else if (peer_.local && !last)
            return std::nullopt;  // its own limits hold
        // Whom it names in no known way counts as one client, with all others of that sort.
    }
    const auto patience = server_.quota_.take(client, clock::now());
    if (patience.count() == 0) return std::nullopt;
    server_.over_quota_.add();
    const error why{errc::too_many_requests, "a client may send " + std::to_string(most) + " requests a minute here"};
    auto refused = server_.hooks_.refuse(why, x);
    std::erase_if(refused.fields, [](const auto& one) { return one.first == "Retry-After"; });
    refused.fields.emplace_back("Retry-After", std::to_string(patience.count()));
    return refused;
}

asio::awaitable<response> session::answer(exchange& x)
{
    if (auto refused = refuse_excess(x)) co_return std::move(*refused);
    std::string what;
    try {
        co_return co_await server_.hooks_.handle(x);
    } catch (const std::exception& e) {
        what = e.what();
    }
    log::error("a handler threw", {{"id", x.request_id()}, {"route", x.route()}, {"exception", what}});
    co_return server_.hooks_.refuse(make_error(errc::internal), x);
}

asio::awaitable<std::optional<error>> session::prepare_body()
{
    if (body_started_) co_return std::nullopt;
    body_started_ = true;
    if (parser_->is_done()) co_return std::nullopt;
    if (!body_idle_) {
        deadline_ = clock::now() + server_.limits_.body_timeout;
        server_.sessions_.move(*this, phase::body);
    }
    const auto expect = parser_->get()[field::expect];
    if (expect.empty()) co_return std::nullopt;
    if (!same_word(expect, "100-continue"))
        co_return error{errc::invalid_request, "the only expectation known here is '100-continue'"};
    send_until_ = clock::time_point::max();
    // RFC 9110 10.1.1: not needed once some of the body has arrived, and unknown to HTTP/1.0.
    if (buffered().empty() && parser_->get().version() >= 11 && !co_await send_all("HTTP/1.1 100 Continue\r\n\r\n", {}))
        co_return make_error(errc::disconnected);
    co_return std::nullopt;
}

void session::body_read() noexcept
{
    deadline_ = clock::time_point::max();
    if (phase_ == phase::body) server_.sessions_.move(*this, phase::busy);
}

asio::awaitable<result<std::size_t>> session::read_body_some(std::span<char> into)
{
    // More than this without progress can only be an overlong chunk header or trailer.
    constexpr std::size_t max_chunk_line = 4 * max_chunk_extension_bytes;

    auto& body = parser_->get().body();
    for (;;) {
        if (parser_->is_done()) {
            body_read();
            co_return std::size_t{0};
        }
        if (!buffered().empty()) {
            body.data = into.data();
            body.size = into.size();
            body.more = true;
            error_code ec;
            const auto used = parser_->put(asio::buffer(buffered().data(), buffered().size()), ec);
            consume(used);
            const auto got = into.size() - body.size;
            if (ec && ec != beast_http::error::need_buffer && ec != beast_http::error::need_more)
                co_return error{errc::invalid_request, "the body is malformed: " + ec.message()};
            if (got > 0) {
                if (parser_->is_done()) body_read();
                co_return got;
            }
            if (used > 0 || parser_->is_done()) continue;
            if (buffered().size() > max_chunk_line)
                co_return error{errc::invalid_request, "a chunk's header is too long"};
        }
        if (body_idle_) deadline_ = clock::now() + *body_idle_;
        const bool received = co_await receive(receive_bytes);
        if (body_idle_) deadline_ = clock::time_point::max();
        if (!received) co_return make_error(timed_out_ ? errc::request_timeout : errc::disconnected);
    }
}

asio::awaitable<void> session::watch()
{
    const auto done = watch_done_;
    while (!watch_over_ && buffered().size() < watch_buffer_bytes) {
        if (!make_room(idle_buffer_bytes)) break;
        error_code ec;
        const auto got = co_await socket_.async_read_some(asio::buffer(buffer_.data() + end_, buffer_.size() - end_),
                                                          asio::redirect_error(asio::use_awaitable, ec));
        end_ += got;
        if (ec == asio::error::operation_aborted) break;
        if (ec) {
            peer_gone_ = true;
            stop_request(errc::disconnected);
            break;
        }
    }
    done->set();
}

void session::begin_watch()
{
    watch_from_ = clock::time_point::max();
    if (watch_done_) return;
    watch_done_ = std::make_shared<async::event>(socket_.get_executor());
    server_.tasks_.spawn("watch for disconnect", watch());
}

void session::begin_slow_watch()
{
    watch_from_ = clock::time_point::max();
    if (current_ && !peer_gone_ && !aborted_) begin_watch();
}

asio::awaitable<void> session::end_watch()
{
    watch_from_ = clock::time_point::max();
    if (!watch_done_) co_return;
    if (!watch_done_->is_set()) {
        watch_over_ = true;  // it may not have begun to read yet
        error_code ignored;  // the watcher may have ended in this moment
        socket_.cancel(ignored);
        co_await watch_done_->wait();
    }
    watch_done_.reset();
    watch_over_ = false;
}

void session::compose_head(const exchange& x, const response& r, bool keep_alive)
{
    head_.clear();
    append_status_line(head_, r.status, reason(r.status));
    append_field(head_, "Date", server_.date());
    if (!has_no_body(r.status)) append_length(head_, r.body_bytes());
    append_fields_of(x, r);
    append_connection(keep_alive);
    head_ += "\r\n";
}

void session::append_fields_of(const exchange& x, const response& r)
{
    if (!r.content_type.empty()) append_field(head_, "Content-Type", r.content_type);
    for (const auto& [name, value] : r.fields) append_field(head_, name, value);
    for (const auto& [name, value] : x.added_fields_) append_field(head_, name, value);
    append_field(head_, "X-Content-Type-Options", "nosniff");
    append_field(head_, "X-Request-Id", x.request_id_);
    if (!x.timings_.empty()) {
        head_ += "Server-Timing: ";
        const char* separator = "";
        for (const auto& [name, spent] : x.timings_) {
            head_ += separator;
            head_ += name;
            head_ += ";dur=";
            append_number(head_, static_cast<std::uint64_t>(spent.count() / 1000));
            head_ += '.';
            append_number(head_, static_cast<std::uint64_t>(spent.count() % 1000 / 100));
            separator = ", ";
        }
        head_ += "\r\n";
    }
}

void session::append_connection(bool keep_alive)
{
    if (!keep_alive) {
        head_ += "Connection: close\r\n";
    } else if (parser_->get().version() == 10) {
        head_ += "Connection: keep-alive\r\n";
    }
}

// Sends the answer. Returns whether the connection may carry another request.
asio::awaitable<bool> session::send(exchange& x, response& r)
{
    if (peer_gone_ || aborted_) co_return false;
    bool keep_alive = !r.close && !server_.draining() && !timed_out_ && parser_ && parser_->get().keep_alive();
    if (keep_alive && !parser_->is_done()) {
        keep_alive = co_await discard_body(x);
        if (peer_gone_ || aborted_) co_return false;
    }
    // A 408 must go out although the deadline is over: the write has a time of its own.
    timed_out_ = false;

    compose_head(x, r, keep_alive);
    send_until_ = clock::now() + server_.limits_.write_timeout +
                  std::chrono::seconds{r.body_bytes() / server_.limits_.write_bytes_per_sec};
    const bool head_only = has_no_body(r.status) || (parser_ && x.method() == verb::head);
    const auto* const text = std::get_if<std::string>(&r.body);
    // What other answers share, and files, are not this client's.
    sending_bytes_ = head_.size() + (text && !head_only ? text->size() : 0);
    bool sent = false;
    if (head_only) {
        sent = co_await send_all(head_, {});
    } else if (text) {
        sent = co_await send_all(head_, *text);
    } else if (const auto* memory = std::get_if<memory_slice>(&r.body)) {
        sent = co_await send_all(head_, memory->bytes);
    } else {
        sent = co_await send_all(head_, {}) && co_await send_file(std::get<file_slice>(r.body));
    }
    sending_bytes_ = 0;
    end_sending();
    const bool may_go_on = sent && keep_alive;
    co_return may_go_on;
}

bool session::may_discard_body() const
{
    const auto left = parser_->content_length_remaining();
    return left && *left <= discard_bytes && parser_->get()[field::expect].empty();
}

asio::awaitable<bool> session::discard_body(exchange& x)
{
    if (!may_discard_body()) co_return false;
    if (body_idle_) {
        body_idle_.reset();
        deadline_ = clock::now() + server_.limits_.body_timeout;
    }
    std::array<char, 4096> away;
    while (!parser_->is_done())
        if (const auto got = co_await x.read_some(away); !got) co_return false;
    co_return true;
}

void session::end_sending() noexcept
{
    release_unsent();
    if (phase_ != phase::sending) return;
    const bool endless = current_ && current_->endless_ && !aborted_;
    server_.sessions_.move(*this, endless ? phase::endless : phase::busy);
}

// Waits until the socket takes more. False on an error, when the peer takes nothing for too long, and when answers that
// nobody takes are more than the server may keep.
asio::awaitable<bool> session::writable()
{
    const auto now = clock::now();
    if (unsent_ == 0 && sending_bytes_ > 0 && !hold_unsent(sending_bytes_)) {
        peer_gone_ = true;
        co_return false;
    }
    if (!aborted_ && phase_ != phase::body) server_.sessions_.move(*this, phase::sending);
    if (stream_) {
        // Only the time that the client has us wait counts: the rest is the handler's.
        const std::chrono::seconds for_size{stream_->sent / server_.limits_.write_bytes_per_sec};
        send_until_ = now + server_.limits_.write_timeout + for_size - stream_->waited;
    }
    write_deadline_ = std::min(now + server_.limits_.write_timeout, send_until_);
    error_code ec;
    co_await socket_.async_wait(stream_socket::wait_write, asio::redirect_error(asio::use_awaitable, ec));
    write_deadline_ = clock::time_point::max();
    if (stream_) stream_->waited += clock::now() - now;
    // Cancelled for what else waits on this socket: try again.
    if (ec == asio::error::operation_aborted && !write_timed_out_ && !aborted_) co_return true;
    if (ec || write_timed_out_ || aborted_) peer_gone_ = true;
    co_return !peer_gone_;
}

asio::awaitable<bool> session::send_all(std::string_view head, std::string_view body)
{
    // The first attempt is made in place: nearly always the socket takes it all, and nothing is awaited.
    for (;;) {
        const std::array<asio::const_buffer, 2> pieces{asio::buffer(head.data(), head.size()),
                                                       asio::buffer(body.data(), body.size())};
        error_code ec;
        const auto sent = socket_.write_some(pieces, ec);
        const auto of_head = std::min(sent, head.size());
        head.remove_prefix(of_head);
        body.remove_prefix(sent - of_head);
        if (head.empty() && body.empty()) co_return true;
        if (ec && ec != asio::error::would_block && ec != asio::error::try_again) {
            peer_gone_ = true;
            co_return false;
        }
        if (!co_await writable()) co_return false;
    }
}

asio::awaitable<bool> session::send_file(const file_slice& slice)
{
    auto offset = static_cast<off_t>(slice.offset);
    auto left = slice.bytes;
    // One client's large file must not keep the others waiting: one turn sends at most this much.
    constexpr std::uint64_t turn_bytes = 512 * 1024;
    while (left > 0) {
        const auto sent = ::sendfile(socket_.native_handle(), slice.file->get(), &offset,
                                     static_cast<std::size_t>(std::min(left, turn_bytes)));
        if (sent > 0) {
            left -= static_cast<std::uint64_t>(sent);
        } else if (sent == 0 || (errno != EAGAIN && errno != EINTR)) {
            peer_gone_ = true;  // cut short: the client sees a body shorter than announced
            co_return false;
        }
        if (left > 0 && !co_await writable()) co_return false;
    }
    co_return true;
}

// Closes so that the client can still read the answer: closing with unread input would reset the
// connection under it (RFC 9112 9.6).
asio::awaitable<void> session::linger()
{
    if (peer_gone_ || aborted_) co_return;
    error_code ec;
    socket_.shutdown(stream_socket::shutdown_send, ec);
    if (ec) co_return;
    timed_out_ = reading_stopped_ = false;
    deadline_ = clock::now() + linger_time;
    std::size_t discarded = 0;
    begin_ = end_ = 0;
    while (discarded < linger_bytes && co_await receive(receive_bytes)) {
        discarded += end_;
        begin_ = end_ = 0;
    }
}

}  // namespace sandboxd::http
