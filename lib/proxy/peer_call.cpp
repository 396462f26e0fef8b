#include "proxy/peer_call.hpp"

#include "base/ascii.hpp"
#include "http/head_text.hpp"
#include "http/header_check.hpp"
#include "proxy/relay.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <span>

namespace sandboxd::proxy {

namespace asio = boost::asio;

namespace {

constexpr auto as_call_pair = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t call_piece = 16 * 1024;

error no_answer(std::string_view why)
{
    return {errc::upstream_failed, "another server's answer is none: " + std::string{why}};
}

// The connection of one call, which ends when it takes too long or is stopped.
class call_line {
public:
    call_line(http::stream_socket made, async::stop_source& stop)
        : socket{std::move(made)}, timer_{socket.get_executor()}, on_stop_{stop, [this](errc) { end(); }}
    {
    }
    void end_after(std::chrono::milliseconds time)
    {
        timer_.expires_after(time);
        timer_.async_wait([this, alive = std::weak_ptr<bool>{alive_}](boost::system::error_code cancelled) {
            if (cancelled || alive.expired()) return;
            is_over_ = true;
            end();
        });
    }
    bool is_over() const noexcept { return is_over_; }

    http::stream_socket socket;

private:
    void end()
    {
        boost::system::error_code ignored;  // it may be closed already
        socket.close(ignored);
    }

    asio::steady_timer timer_;
    std::shared_ptr<bool> alive_{std::make_shared<bool>(true)};
    bool is_over_{false};
    async::stop_callback on_stop_;
};

std::string request_text(const peer_call& what)
{
    std::string text{what.method};
    text += ' ' + what.target + " HTTP/1.1\r\n";
    http::append_field(text, "Host", what.host.empty() ? std::string_view{"localhost"} : std::string_view{what.host});
    for (const auto& [name, value] : what.fields) http::append_field(text, name, value);
    http::append_length(text, what.body.size());
    text += "Connection: close\r\n\r\n";
    text += what.body;
    return text;
}

using call_buffer = std::array<char, call_piece>;

// More of the answer; an error is its end.
asio::awaitable<boost::system::error_code> receive_more(call_line& line, call_buffer& piece, std::string& into)
{
    const auto [failed, got] = co_await line.socket.async_read_some(asio::buffer(piece), as_call_pair);
    into.append(piece.data(), got);
    co_return failed;
}

}  // namespace

std::string_view peer_reply::operator[](std::string_view name) const noexcept
{
    const auto found = std::ranges::find_if(fields, [name](const auto& one) { return same_word(one.first, name); });
    return found == fields.end() ? std::string_view{} : std::string_view{found->second};
}

asio::awaitable<result<peer_reply>> ask_peer(peers& by, std::string server, peer_call what, async::stop_source& stop)
{
    auto made = co_await by.connect(std::move(server), stop);
    if (!made) co_return made.error();
    if (stop.requested()) co_return make_error(stop.cause());
    call_line line{std::move(*made), stop};
    const auto lost = [&](std::string_view why) -> error {
        if (stop.requested()) return make_error(stop.cause());
        if (line.is_over()) return {errc::upstream_timeout, "another server did not answer in time"};
        return no_answer(why);
    };
    line.end_after(what.timeout);
    {
        const auto text = request_text(what);
        what.body.clear();
        const auto [failed, sent] = co_await asio::async_write(line.socket, asio::buffer(text), as_call_pair);
        // It may have answered before it has read everything.
        if (failed && (stop.requested() || line.is_over())) co_return lost(failed.message());
        static_cast<void>(sent);
    }
    line.end_after(what.timeout);
    std::string received;
    call_buffer piece{};
    std::size_t scanned = 0;
    std::size_t head_size = 0;
    for (;;) {
        const auto found = http::find_header_end(received, scanned);
        if (!found) co_return no_answer(found.error().message);
        head_size = *found;
        if (head_size > 0 || received.size() > what.head_bytes) break;
        const auto ended = co_await receive_more(line, piece, received);
        if (ended) co_return lost(ended.message());
    }
    if (head_size == 0 || head_size > what.head_bytes) co_return no_answer("its head is too long");
    const std::string head_text = received.substr(0, head_size);
    received.erase(0, head_size);
    answer_head head;
    if (const auto read = read_answer_head(head_text, false, head); !read) co_return no_answer(read.error().message);
    if (head.status < 200) co_return no_answer("an interim one");
    peer_reply answer{.status = head.status};
    for (const auto& [name, value] : head.fields) answer.fields.emplace_back(std::string{name}, std::string{value});

    const error too_large{errc::payload_too_large, "another server's answer is larger than it may be"};
    chunk_decoder chunks;
    for (;;) {
        bool is_whole = head.body.kind == body_kind::none;
        if (head.body.kind == body_kind::chunked) {
            const auto step = chunks.decode({received.data(), received.size()});
            if (!step) co_return no_answer(step.error().message);
            answer.body.append(received, 0, step->data);
            received.erase(0, step->used);
            is_whole = chunks.done();
        } else if (head.body.kind != body_kind::none) {
            answer.body += received;
            received.clear();
            is_whole = head.body.kind == body_kind::length && answer.body.size() >= head.body.length;
        }
        if (answer.body.size() > what.body_bytes) co_return too_large;
        if (is_whole) break;
        const auto ended = co_await receive_more(line, piece, received);
        if (ended == asio::error::eof && head.body.kind == body_kind::until_close) {
            answer.body += received;
            break;
        }
        if (ended) co_return lost(ended.message());
    }
    if (head.body.kind == body_kind::length && answer.body.size() > head.body.length)
        co_return no_answer("it is longer than it says");
    co_return answer;
}

}  // namespace sandboxd::proxy
