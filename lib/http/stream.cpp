// Answers in pieces, and connections that a handler takes over.
#include "http/head_text.hpp"
#include "http/server_state.hpp"
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
    // A body that is being read may still be read to its end. If nobody reads it, announce the end of the connection.
    const bool is_read = body_started_ || body_pace_;
    const bool may_persist = s.how != framing::until_close;
    s.keep_alive = is_read ? connection_.reuse_after(may_persist && !server_.draining && parser_->get().keep_alive(),
                                                     body_rest::none) == reuse::yes
                           : reuse_now(may_persist) != reuse::no;

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

// Sends a framed piece, with the head before it if that was not sent yet.
asio::awaitable<result<void>> session::write(std::string_view piece, bool last)
{
    auto& s = *stream_;
    if (!connection_.can_write() || s.is_over()) co_return make_error(errc::disconnected);
    std::string_view tail;
    switch (s.how) {
        case framing::none: piece = {}; break;
        case framing::length:
            if (piece.size() > s.left || (last && piece.size() < s.left)) {
                s.stage = stream_stage::cut;
                co_return error{errc::internal, "an answer does not have its announced length"};
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
    s.sent += piece.size();
    // If it was cut meanwhile, it stays cut.
    if (!s.is_over()) s.stage = last ? stream_stage::ended : stream_stage::head_sent;
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
            connection_.lose_peer();
            co_return false;
        }
        if (!co_await writable()) co_return false;
    }
}

// Returns whether the connection may carry another request.
asio::awaitable<bool> session::close_stream(exchange& x)
{
    const auto& s = *stream_;
    if (s.stage == stream_stage::taken || !connection_.can_write()) co_return false;
    if (s.is_cut()) {
        if (s.how == framing::until_close) {
            // The end of the connection must not look like the end of the answer.
            error_code ignored;  // the client may have gone
            socket_.set_option(asio::socket_base::linger{true, 0}, ignored);
            socket_.close(ignored);  // Asio's destructor would reset the option
        }
        co_return false;
    }
    const auto after = reuse_now(s.keep_alive);
    co_return after == reuse::yes || (after == reuse::after_discard && co_await discard_body(x));
}

void session::begin(const exchange& x, const response& head, std::optional<std::uint64_t> length)
{
    begin_stream(x, head.status, {}, length);
    if (head.close) stream_->keep_alive = false;
    append_field(head_, "Date", server_.date());
    append_fields_of(x, head);
    end_stream_head();
}

void session::begin(const exchange& x, const raw_head& head, std::optional<std::uint64_t> length)
{
    begin_stream(x, head.status, head.reason, length);
    if (!head.has_date) append_field(head_, "Date", server_.date());
    head_ += head.fields;
    append_field(head_, "X-Request-Id", x.request_id());
    end_stream_head();
}

asio::awaitable<result<void>> session::flush()
{
    if (stream_->stage == stream_stage::head_sent) co_return result<void>{};
    co_return co_await write({}, false);
}

void session::cut() noexcept
{
    if (!stream_->is_over()) stream_->stage = stream_stage::cut;
}

asio::awaitable<result<void>> session::send_interim(unsigned status, std::string_view fields)
{
    if (!connection_.can_write()) co_return make_error(errc::disconnected);
    head_.clear();
    append_status_line(head_, status, reason(status));
    head_ += fields;
    head_ += "\r\n";
    connection_.until.answer = deadlines::never;
    if (!co_await send_all(head_, {})) co_return make_error(errc::disconnected);
    co_return result<void>{};
}

asio::awaitable<result<exchange::connection>> session::take_over(const raw_head& head)
{
    co_await end_watch();
    if (!connection_.can_write()) co_return make_error(errc::disconnected);
    auto& s = stream_.emplace();
    s.status = head.status;
    head_.clear();
    append_status_line(head_, head.status, head.reason.empty() ? reason(head.status) : head.reason);
    head_ += head.fields;
    head_ += "\r\n";
    if (!co_await send_all(head_, {})) co_return make_error(errc::disconnected);
    s.stage = stream_stage::taken;
    exchange::connection all{socket_, std::string{buffered()}};
    consume(buffered().size());
    co_return all;
}

}  // namespace sandboxd::http
