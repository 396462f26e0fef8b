// The way of one connection's bytes, in the order in which they come: header, body, answer, and the rest that is read
// away. Answers in pieces are in stream.cpp, decisions in connection.cpp.
#include "http/session.hpp"

#include "base/log.hpp"
#include "http/field_text.hpp"
#include "http/forwarded.hpp"
#include "http/head_text.hpp"
#include "http/header_check.hpp"
#include "http/server_state.hpp"

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

// Enough for a browser's request header; an idle connection keeps no more.
constexpr std::size_t idle_buffer_bytes = 2 * 1024;
constexpr std::size_t receive_bytes = 16 * 1024;
// A pipelining client may send this much while its request is being answered.
constexpr std::size_t watch_buffer_bytes = 2 * 1024;
// This much of a connection's buffer is not counted, so that a small request can always be read, whatever others
// send.
constexpr std::size_t uncounted_buffer_bytes = 4 * 1024;
// A complete body of this size is not counted either, so that a small request can always wait.
constexpr std::size_t uncounted_body_bytes = 16 * 1024;
constexpr auto linger_time = std::chrono::seconds{2};
// As much as a proxy may send of a body that is refused for its length: nginx drops an unread answer if it cannot
// send everything.
constexpr std::size_t linger_bytes = 8 * 1024 * 1024;
// What another server of the fleet may add to a request that it passes on, which it has taken by the same keys:
// X-Forwarded-For and the like.
constexpr std::size_t fields_of_another_server = 16;
constexpr std::size_t bytes_of_another_server = 2 * 1024;
// The client disconnected before the answer: for log and metrics only, as in nginx.
constexpr unsigned status_client_closed = 499;

}  // namespace

session::session(server_state& server, stream_socket socket, peer from)
    : server_{server}, socket_{std::move(socket)}, entry_{.owner = this, .from = std::move(from)}
{
    server_.sessions.enter(entry_);
    on_chunk_ = [](std::uint64_t, boost::beast::string_view extensions, error_code& ec) {
        // The parser looks for no line's end within quotes: a proxy in front may see one there, and other chunks.
        if (extensions.size() > max_chunk_extension_bytes || !is_field_value({extensions.data(), extensions.size()}))
            ec = beast_http::error::bad_chunk_extension;
    };
}

session::~session()
{
    release_body();
    server_.received.give(entry_.buffer);
    release_unsent();
    server_.sessions.leave(entry_);
}

std::string session::new_request_id() { return server_.next_request_id(); }

error session::no_room(const char* why)
{
    if (connection_.is_aborted()) return make_error(errc::disconnected);
    server_.refused_bodies.add();
    return {errc::queue_full, why};
}

result<void> session::hold_body(std::size_t bytes)
{
    if (connection_.is_aborted() || !server_.make_fit_received(entry_, bytes))
        return no_room("incomplete requests use all memory for them; try again later (http.maxReceivedMB)");
    server_.received.take(bytes);
    entry_.body += bytes;
    return {};
}

void session::release_body() noexcept
{
    server_.received.give(std::exchange(entry_.body, 0));
    server_.pending.give(std::exchange(entry_.pending, 0));
}

result<void> session::keep_body(std::size_t bytes)
{
    release_body();
    if (buffered().empty() && buffer_.capacity() > uncounted_buffer_bytes) {
        std::string(idle_buffer_bytes, '\0').swap(buffer_);
        hold_buffer();  // gives back
    }
    const bool counts = bytes > uncounted_body_bytes;
    if (connection_.is_aborted() || (counts && !server_.pending.fits(bytes)))
        return no_room(
            "requests that wait for their answers use all memory for them; try again later "
            "(http.maxPendingMB)");
    if (!counts) return {};
    server_.pending.take(bytes);
    entry_.pending = bytes;
    return {};
}

bool session::hold_buffer()
{
    const auto size = std::max(buffer_.capacity(), uncounted_buffer_bytes) - uncounted_buffer_bytes;
    if (size <= entry_.buffer) {
        server_.received.give(entry_.buffer - size);
    } else {
        if (!server_.make_fit_received(entry_, size - entry_.buffer)) return false;
        server_.received.take(size - entry_.buffer);
    }
    entry_.buffer = size;
    return true;
}

bool session::hold_unsent(std::size_t bytes)
{
    if (connection_.is_aborted() || !server_.make_fit_unsent(entry_, bytes)) return false;
    server_.unsent.take(bytes);
    entry_.unsent += bytes;
    return true;
}

bool session::hold_unsent_of_taken(std::size_t bytes)
{
    if (!hold_unsent(bytes)) return false;
    server_.sessions.move(entry_, phase::sending);
    return true;
}

void session::release_unsent() noexcept { server_.unsent.give(std::exchange(entry_.unsent, 0)); }

void session::expire(clock::time_point now)
{
    connection_.expire(now);
    server_.expired.add();
    error_code ignored;  // nothing to cancel is not an error
    socket_.cancel(ignored);
}

void session::abort()
{
    connection_.abort();
    // Its memory is released at once, so that the session that needs the room need not wait.
    release_body();
    server_.received.give(std::exchange(entry_.buffer, 0));
    release_unsent();
    // It was chosen, so the next eviction must choose another one. A busy entry stays in its place: each() would meet
    // it again and again.
    if (entry_.in != phase::busy) server_.sessions.move(entry_, phase::busy);
    error_code ignored;  // the peer may be gone already
    socket_.shutdown(stream_socket::shutdown_both, ignored);
    socket_.cancel(ignored);
}

void session::stop_request(errc cause)
{
    if (current_) current_->stop().request(cause);
}

void session::stop_endless_request(errc cause)
{
    if (current_ && current_->is_endless()) current_->stop().request(cause);
}

bool session::become_endless() noexcept
{
    if (entry_.in == phase::busy && !connection_.is_aborted()) server_.sessions.move(entry_, phase::endless);
    return server_.draining;
}

void session::stop_reading()
{
    connection_.stop_reading();
    error_code ignored;  // nobody may be waiting
    socket_.cancel(ignored);
}

asio::awaitable<void> session::run()
{
    auto next = next_step::read_header;
    while (next == next_step::read_header) {
        parser_.reset();
        body_started_ = false;
        if (stream_) stream_.reset();
        if (body_pace_) body_pace_.reset();
        const auto wrong = co_await read_header();
        if (wrong && wrong->code == errc::disconnected) co_return;

        const auto started = clock::now();
        entry_.began = started;
        server_.request_started();
        exchange x{*this};
        current_ = &x;
        if (server_.hooks.begin) server_.hooks.begin(x);
        response r;
        if (wrong) {
            r = server_.hooks.refuse(*wrong, x);
            r.close = true;
        } else {
            r = co_await answer(x);
            // From here on the request is being answered, whatever happened to its body.
            if (entry_.in == phase::body) server_.sessions.move(entry_, phase::busy);
            release_body();
        }
        co_await end_watch();
        const bool reusable = stream_ ? co_await close_stream(x) : co_await send(x, r);
        observe(x, r, started);
        current_ = nullptr;
        server_.request_ended();
        next = connection_.after_answer(reusable, stream_ && stream_->is_abrupt());
    }
    if (next == next_step::linger) co_await linger();
}

void session::observe(const exchange& x, const response& r, clock::time_point started) const
{
    const auto total = std::chrono::duration_cast<std::chrono::microseconds>(clock::now() - started);
    const bool lost = !connection_.can_write();
    if (stream_) {
        const bool cut = stream_->is_cut();
        server_.hooks.observe({x, cut && lost ? status_client_closed : stream_->status, stream_->sent, total, cut});
    } else {
        server_.hooks.observe({x, lost ? status_client_closed : r.status, lost ? 0 : r.body_bytes(), total});
    }
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
    if (!connection_.can_read()) co_return false;
    if (!make_room(at_most)) {
        connection_.lose_peer();
        co_return false;
    }
    error_code ec;
    const auto got = co_await socket_.async_read_some(asio::buffer(buffer_.data() + end_, buffer_.size() - end_),
                                                      asio::redirect_error(asio::use_awaitable, ec));
    end_ += got;
    if (!ec) co_return true;
    connection_.fail_read();
    co_return false;
}

asio::awaitable<std::optional<error>> session::read_header()
{
    const auto now = clock::now();
    bool idle = buffered().empty();
    if (!connection_.is_aborted()) server_.sessions.move(entry_, idle ? phase::idle : phase::header);
    connection_.until.read = now + (idle ? server_.bounds.idle_timeout : server_.bounds.header_timeout);
    if (idle && buffer_.size() > 2 * idle_buffer_bytes) {
        std::string(idle_buffer_bytes, '\0').swap(buffer_);
        hold_buffer();  // gives back
    }

    const auto limit = server_.bounds.header_bytes + (entry_.from.fleet ? bytes_of_another_server : 0);
    std::size_t scanned = 0;
    std::size_t size = 0;
    for (;;) {
        // An empty line before the request line is allowed: RFC 9112 2.2.
        if (scanned == 0 && buffered().starts_with("\r\n")) consume(2);
        const auto found = find_header_end(buffered(), scanned);
        if (!found) co_return found.error();
        const auto progress = judge_header(buffered(), *found, limit, idle_buffer_bytes);
        if (progress.next == header_progress::step::refuse) co_return make_error(progress.why);
        if (progress.next == header_progress::step::complete) {
            size = progress.bytes;
            break;
        }
        if (!co_await receive(progress.bytes)) co_return make_error(connection_.why_no_header(!idle));
        if (idle) {
            idle = false;
            server_.sessions.move(entry_, phase::header);
            connection_.until.read = clock::now() + server_.bounds.header_timeout;
        }
    }
    connection_.until.read = deadlines::never;
    server_.sessions.move(entry_, phase::busy);

    const auto header = buffered().substr(0, size);
    const header_limits bounds{
        .target_bytes = server_.bounds.target_bytes,
        .fields = server_.bounds.header_fields + (entry_.from.fleet ? fields_of_another_server : 0)};
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

bool session::find_address(const exchange& x)
{
    address_ = entry_.from.client;
    if (!entry_.from.local && !server_.bounds.trust_forwarded) return true;
    // The client that a proxy speaks for: the address that the proxy has added, after everything that its client sent.
    std::optional<std::string_view> last;
    for (const auto& one : x.fields())
        if (same_word({one.name_string().data(), one.name_string().size()}, "X-Forwarded-For"))
            last = {one.value().data(), one.value().size()};
    // All clients that it names in an unknown form count as one.
    if (const auto named = last ? client_of(last_hop(*last)) : std::nullopt) address_ = *named;
    return last.has_value() || !entry_.from.local;
}

std::optional<response> session::refuse_excess(exchange& x)
{
    const bool is_named = find_address(x);
    const auto most = server_.bounds.requests_a_minute;
    const auto method = x.method();
    if (most == 0 || method == verb::get || method == verb::head || method == verb::options) return std::nullopt;
    if (server_.hooks.identify) server_.hooks.identify(x);
    if (!is_named && !x.tenant()) return std::nullopt;  // the proxy's own limits apply
    const auto patience = server_.requests.take(x.client(), clock::now());
    if (patience.count() == 0) return std::nullopt;
    server_.over_quota.add();
    const error why{errc::too_many_requests,
                    "a client may send " + std::to_string(most) + " requests per minute; try again later"};
    auto refused = server_.hooks.refuse(why, x);
    std::erase_if(refused.fields, [](const auto& one) { return one.first == "Retry-After"; });
    const auto wait = std::to_string(patience.count());
    refused.fields.emplace_back("Retry-After", wait);
    // draft-ietf-httpapi-ratelimit-headers-10: the quota in a window of seconds; what is left of it, and until when.
    refused.fields.emplace_back("RateLimit-Policy", "\"requests\";q=" + std::to_string(most) + ";w=60");
    refused.fields.emplace_back("RateLimit", "\"requests\";r=0;t=" + wait);
    return refused;
}

asio::awaitable<response> session::answer(exchange& x)
{
    if (auto refused = refuse_excess(x)) co_return std::move(*refused);
    std::string what;
    try {
        co_return co_await server_.hooks.handle(x);
    } catch (const std::exception& e) {
        what = e.what();
    }
    log::error(
        "a handler threw",
        {{"id", x.request_id()}, {"route", x.route()}, {"exception", what}, log::in_json("trace_id", x.trace_id())});
    co_return server_.hooks.refuse(make_error(errc::internal), x);
}

asio::awaitable<std::optional<error>> session::prepare_body()
{
    if (body_started_) co_return std::nullopt;
    body_started_ = true;
    if (parser_->is_done()) co_return std::nullopt;
    if (!body_pace_) {
        connection_.until.read = clock::now() + server_.bounds.body_timeout;
        server_.sessions.move(entry_, phase::body);
    }
    const auto expect = parser_->get()[field::expect];
    if (expect.empty()) co_return std::nullopt;
    if (!same_word(expect, "100-continue"))
        co_return error{errc::invalid_request, "the only supported expectation is '100-continue'"};
    connection_.until.answer = deadlines::never;
    // RFC 9110 10.1.1: not needed once some of the body has arrived, and unknown to HTTP/1.0.
    if (buffered().empty() && parser_->get().version() >= 11 && !co_await send_all("HTTP/1.1 100 Continue\r\n\r\n", {}))
        co_return make_error(errc::disconnected);
    co_return std::nullopt;
}

void session::body_read() noexcept
{
    connection_.until.read = deadlines::never;
    if (entry_.in == phase::body) server_.sessions.move(entry_, phase::busy);
}

void session::pace_body(std::chrono::milliseconds idle) noexcept
{
    body_pace_.emplace(idle, server_.bounds.body_timeout, server_.bounds.read_bytes_per_sec);
    body_read();  // as far as the body's deadline and its place in the list are concerned
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
                if (body_pace_) body_pace_->received(got);
                if (parser_->is_done()) body_read();
                co_return got;
            }
            if (used > 0 || parser_->is_done()) continue;
            if (buffered().size() > max_chunk_line)
                co_return error{errc::invalid_request, "a chunk's header is too long"};
        }
        const auto began = clock::now();
        if (body_pace_) connection_.until.read = began + body_pace_->patience();
        const bool received = co_await receive(receive_bytes);
        if (body_pace_) {
            connection_.until.read = deadlines::never;
            if (!received && connection_.is_expired() && body_pace_->is_slow()) {
                server_.slow_bodies.add();
                co_return error{errc::request_timeout,
                                "the body comes too slowly (http.bodyTimeoutSecs, http.minReadBytesPerSec)"};
            }
            // Time in which the program takes what has come is not the client's.
            body_pace_->waited(clock::now() - began);
        }
        if (!received) co_return make_error(connection_.why_no_body());
    }
}

asio::awaitable<void> session::watch()
{
    const auto done = watch_done_;
    while (watching_ == watching::reads && buffered().size() < watch_buffer_bytes) {
        if (!make_room(idle_buffer_bytes)) break;
        error_code ec;
        const auto got = co_await socket_.async_read_some(asio::buffer(buffer_.data() + end_, buffer_.size() - end_),
                                                          asio::redirect_error(asio::use_awaitable, ec));
        end_ += got;
        if (ec == asio::error::operation_aborted) break;
        if (ec) {
            connection_.lose_peer();
            stop_request(errc::disconnected);
            break;
        }
    }
    done->set();
}

void session::begin_watch()
{
    watch_from_ = deadlines::never;
    if (watching_ != watching::nobody) return;
    watching_ = watching::reads;
    watch_done_ = std::make_shared<async::event>(socket_.get_executor());
    server_.tasks.spawn("watch for disconnect", watch());
}

void session::begin_slow_watch()
{
    watch_from_ = deadlines::never;
    if (current_ && connection_.can_write()) begin_watch();
}

asio::awaitable<void> session::end_watch()
{
    watch_from_ = deadlines::never;
    if (watching_ == watching::nobody) co_return;
    if (!watch_done_->is_set()) {
        watching_ = watching::is_to_end;  // the watcher may not have started to read yet
        error_code ignored;               // the watcher may have just ended
        socket_.cancel(ignored);
        co_await watch_done_->wait();
    }
    watch_done_.reset();
    watching_ = watching::nobody;
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
    for (const auto& [name, value] : x.added_fields()) append_field(head_, name, value);
    append_field(head_, "X-Content-Type-Options", "nosniff");
    append_field(head_, "X-Request-Id", x.request_id());
    if (!x.timings().empty()) {
        head_ += "Server-Timing: ";
        const char* separator = "";
        for (const auto& [name, spent] : x.timings()) {
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

reuse session::reuse_now(bool may_persist) const
{
    if (!parser_) return reuse::no;
    const auto left = parser_->content_length_remaining();
    const auto rest = rest_of_body(parser_->is_done(), left ? std::optional<std::uint64_t>{*left} : std::nullopt,
                                   !parser_->get()[field::expect].empty());
    return connection_.reuse_after(may_persist && !server_.draining && parser_->get().keep_alive(), rest);
}

// Sends the answer. Returns whether the connection may carry another request.
asio::awaitable<bool> session::send(exchange& x, response& r)
{
    if (!connection_.can_write()) co_return false;
    const auto after = reuse_now(!r.close);
    bool keep_alive = after == reuse::yes;
    if (after == reuse::after_discard) {
        keep_alive = co_await discard_body(x);
        if (!connection_.can_write()) co_return false;
    }

    compose_head(x, r, keep_alive);
    connection_.until.answer =
        answer_until(clock::now(), server_.bounds.write_timeout, r.body_bytes(), server_.bounds.write_bytes_per_sec);
    const bool head_only = has_no_body(r.status) || (parser_ && x.method() == verb::head);
    const auto* const text = std::get_if<std::string>(&r.body);
    const auto* const memory = std::get_if<memory_slice>(&r.body);
    // Memory that others share and files do not count for this client.
    const bool counts = text || (memory && memory->counts);
    sending_bytes_ = head_.size() + (counts && !head_only ? r.text().size() : 0);
    bool sent = false;
    if (head_only) {
        sent = co_await send_all(head_, {});
    } else if (text) {
        sent = co_await send_all(head_, *text);
    } else if (memory) {
        sent = co_await send_all(head_, memory->bytes);
    } else {
        sent = co_await send_all(head_, {}) && co_await send_file(std::get<file_slice>(r.body));
    }
    sending_bytes_ = 0;
    end_sending();
    const bool may_go_on = sent && keep_alive;
    co_return may_go_on;
}

asio::awaitable<bool> session::discard_body(exchange& x)
{
    if (body_pace_) {
        body_pace_.reset();
        connection_.until.read = clock::now() + server_.bounds.body_timeout;
    }
    std::array<char, 4096> away;
    while (!parser_->is_done())
        if (const auto got = co_await x.read_some(away); !got) co_return false;
    co_return true;
}

void session::end_sending() noexcept
{
    release_unsent();
    if (entry_.in != phase::sending) return;
    const bool endless = current_ && current_->is_endless() && !connection_.is_aborted();
    server_.sessions.move(entry_, endless ? phase::endless : phase::busy);
}

// Waits until the socket is writable. False on an error, when the peer reads nothing for too long, and when unread
// answers exceed what the server may keep.
asio::awaitable<bool> session::writable()
{
    const auto now = clock::now();
    if (entry_.unsent == 0 && sending_bytes_ > 0 && !hold_unsent(sending_bytes_)) {
        connection_.lose_peer();
        co_return false;
    }
    if (!connection_.is_aborted() && entry_.in != phase::body) server_.sessions.move(entry_, phase::sending);
    const auto patience = server_.bounds.write_timeout;
    auto& until = connection_.until;
    // Only the time that we wait for the client counts; the rest is the handler's.
    if (stream_)
        until.answer = answer_until(now, patience, stream_->sent, server_.bounds.write_bytes_per_sec, stream_->waited);
    until.begin_write(now, patience);
    error_code ec;
    co_await socket_.async_wait(stream_socket::wait_write, asio::redirect_error(asio::use_awaitable, ec));
    until.end_write();
    if (stream_) stream_->waited += clock::now() - now;
    // Cancelled because of another operation on this socket: try again.
    if (ec && ec != asio::error::operation_aborted) connection_.lose_peer();
    co_return connection_.can_write();
}

asio::awaitable<bool> session::send_all(std::string_view head, std::string_view body)
{
    // The first attempt does not wait: the socket nearly always takes everything.
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
            connection_.lose_peer();
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
            connection_.lose_peer();  // truncated: the client sees a body shorter than announced
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
    error_code ec;
    socket_.shutdown(stream_socket::shutdown_send, ec);
    if (ec) co_return;
    connection_.linger(clock::now() + linger_time);
    std::size_t discarded = 0;
    begin_ = end_ = 0;
    while (discarded < linger_bytes && co_await receive(receive_bytes)) {
        discarded += end_;
        begin_ = end_ = 0;
    }
}

}  // namespace sandboxd::http
