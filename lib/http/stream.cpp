// Answers in pieces, and connections that a handler takes over.
#include "http/head_text.hpp"
#include "http/server.hpp"
#include "http/session.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/socket_base.hpp>

#include <algorithm>
#include <array>
#include <cassert>

namespace sandboxd::http {

namespace asio = boost::asio;
using boost::system::error_code;

void session::begin_stream(const exchange& x, unsigned status, std::string_view phrase,
                           std::optional<std::uint64_t> length)
{
    assert(!stream_);
    auto& s = stream_.emplace();
    s.status = status;
    const bool http_1_0 = parser_->get().version() == 10;
    if (has_no_body(status) || x.method() == verb::head) {
        s.how = framing::none;
    } else if (length) {
        s.how = framing::length;
        s.left = *length;
    } else {
        s.how = http_1_0 ? framing::until_close : framing::chunked;
    }
    s.keep_alive = !server_.draining() && !timed_out_ && parser_->get().keep_alive() && s.how != framing::until_close;
    // A body that somebody reads may yet be read to its end; one that nobody wants is announced as the end.
    if (s.keep_alive && !parser_->is_done() && !body_started_ && !body_idle_) s.keep_alive = may_discard_body();

    head_.clear();
    append_status_line(head_, status, phrase.empty() ? reason(status) : phrase);
    if (length && !has_no_body(status)) append_length(head_, *length);
    if (s.how == framing::chunked) head_ += "Transfer-Encoding: chunked\r\n";
}

void session::end_stream_head()
{
    append_connection(stream_->keep_alive);
    head_ += "\r\n";
}

// Sends the head, when it is still here, with a piece behind it, framed.
asio::awaitable<result<void>> session::send_stream(std::string_view piece, bool last)
{
    auto& s = *stream_;
    if (peer_gone_ || aborted_ || s.cut || s.ended) co_return make_error(errc::disconnected);
    std::string_view tail;
    switch (s.how) {
        case framing::none: piece = {}; break;
        case framing::length:
            if (piece.size() > s.left || (last && piece.size() < s.left)) {
                s.cut = true;
                co_return error{errc::internal, "an answer does not have the length that was announced"};
            }
            s.left -= piece.size();
            break;
        case framing::chunked:
            if (!piece.empty()) {
                append_number(head_, piece.size(), 16);
                head_ += "\r\n";
                tail = last ? "\r\n0\r\n\r\n" : "\r\n";
            } else if (last) {
                tail = "0\r\n\r\n";
            }
            break;
        case framing::until_close: break;
    }
    sending_bytes_ = head_.size() + piece.size();
    const bool sent = co_await send_pieces(head_, piece, tail);
    sending_bytes_ = 0;
    end_sending();
    if (!sent) co_return make_error(errc::disconnected);
    head_.clear();
    s.head_sent = true;
    s.sent += piece.size();
    s.ended = last;
    co_return result<void>{};
}

asio::awaitable<bool> session::send_pieces(std::string_view head, std::string_view body, std::string_view tail)
{
    std::array<std::string_view, 3> left{head, body, tail};
    for (;;) {
        std::array<asio::const_buffer, 3> pieces;
        std::size_t total = 0;
        for (std::size_t i = 0; i < left.size(); ++i) {
            pieces[i] = asio::buffer(left[i].data(), left[i].size());
            total += left[i].size();
        }
        if (total == 0) co_return true;
        error_code ec;
        auto sent = socket_.write_some(pieces, ec);
        const bool all = sent == total;
        for (auto& one : left) {
            const auto of_this = std::min(sent, one.size());
            one.remove_prefix(of_this);
            sent -= of_this;
        }
        if (all) co_return true;
        if (ec && ec != asio::error::would_block && ec != asio::error::try_again) {
            peer_gone_ = true;
            co_return false;
        }
        if (!co_await writable()) co_return false;
    }
}

// Returns whether the connection may carry another request.
asio::awaitable<bool> session::close_stream(exchange& x)
{
    const auto& s = *stream_;
    if (s.taken || peer_gone_ || aborted_) co_return false;
    if (!s.ended) {
        if (s.how == framing::until_close) {
            // Its end must not look like the answer's.
            error_code ignored;  // the client may have gone
            socket_.set_option(asio::socket_base::linger{true, 0}, ignored);
            socket_.close(ignored);  // Asio's destructor would take the option back
        }
        co_return false;
    }
    bool keep_alive = s.keep_alive && !server_.draining() && !timed_out_;
    if (keep_alive && !parser_->is_done()) keep_alive = co_await discard_body(x);
    co_return keep_alive && !peer_gone_ && !aborted_;
}

void exchange::begin(const response& head, std::optional<std::uint64_t> length)
{
    session_.begin_stream(*this, head.status, {}, length);
    if (head.close) session_.stream_->keep_alive = false;
    append_field(session_.head_, "Date", session_.server_.date());
    session_.append_fields_of(*this, head);
    session_.end_stream_head();
}

void exchange::begin(const raw_head& head, std::optional<std::uint64_t> length)
{
    session_.begin_stream(*this, head.status, head.reason, length);
    if (!head.has_date) append_field(session_.head_, "Date", session_.server_.date());
    session_.head_ += head.fields;
    append_field(session_.head_, "X-Request-Id", request_id_);
    session_.end_stream_head();
}

bool exchange::begun() const noexcept { return session_.stream_.has_value(); }

asio::awaitable<result<void>> exchange::flush()
{
    if (session_.stream_->head_sent) co_return result<void>{};
    co_return co_await session_.send_stream({}, false);
}

asio::awaitable<result<void>> exchange::write(std::string_view piece)
{
    if (piece.empty()) co_return result<void>{};
    co_return co_await session_.send_stream(piece, false);
}

asio::awaitable<result<void>> exchange::finish(std::string_view piece)
{
    co_return co_await session_.send_stream(piece, true);
}

void exchange::cut() noexcept { session_.stream_->cut = true; }

asio::awaitable<result<void>> exchange::interim(unsigned status, std::string_view fields)
{
    if (version() < 11) co_return result<void>{};
    if (session_.peer_gone_ || session_.aborted_) co_return make_error(errc::disconnected);
    auto& head = session_.head_;
    head.clear();
    append_status_line(head, status, reason(status));
    head += fields;
    head += "\r\n";
    session_.send_until_ = clock::time_point::max();
    if (!co_await session_.send_all(head, {})) co_return make_error(errc::disconnected);
    co_return result<void>{};
}

asio::awaitable<result<exchange::connection>> exchange::take_over(const raw_head& head)
{
    co_await session_.end_watch();
    if (session_.peer_gone_ || session_.aborted_) co_return make_error(errc::disconnected);
    auto& s = session_.stream_.emplace();
    s.status = head.status;
    auto& text = session_.head_;
    text.clear();
    append_status_line(text, head.status, head.reason.empty() ? reason(head.status) : head.reason);
    text += head.fields;
    text += "\r\n";
    if (!co_await session_.send_all(text, {})) co_return make_error(errc::disconnected);
    s.taken = true;
    connection all{session_.socket_, std::string{session_.buffered()}};
    session_.consume(session_.buffered().size());
    co_return all;
}

void exchange::count_sent(std::uint64_t bytes) noexcept { session_.stream_->sent += bytes; }

bool exchange::hold_unsent(std::size_t bytes)
{
    if (!session_.hold_unsent(bytes)) return false;
    session_.server_.sessions_.move(session_, phase::sending);
    return true;
}

void exchange::release_unsent() noexcept { session_.end_sending(); }

void exchange::stop_reading()
{
    session_.reading_stopped_ = true;
    error_code ignored;  // nobody may be waiting
    session_.socket_.cancel(ignored);
}

}  // namespace sandboxd::http
