#include "jail/docker_api.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <algorithm>

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace json = boost::json;

namespace sandboxd::jail {
namespace {

constexpr std::uint64_t most_of_an_answer = 16 << 20;
constexpr std::size_t shown_of_a_message = 1000;

// How often to check whether `until` was brought forward.
constexpr std::chrono::milliseconds look_interval{250};

// Closes a connection that takes too long; a pending operation then fails.
class guard {
public:
    using clock = std::chrono::steady_clock;

    guard(std::shared_ptr<docker_socket> socket, std::chrono::milliseconds patience, const clock::time_point* until)
        : its_{std::make_shared<state>(std::move(socket), until)}
    {
        if (patience.count() != 0) its_->deadline = clock::now() + patience;
        watch(its_);
    }
    ~guard()
    {
        its_->until = nullptr;
        its_->deadline = clock::time_point::max();
        its_->timer.cancel();
    }
    guard(const guard&) = delete;
    guard& operator=(const guard&) = delete;

private:
    // Shared with the wait, which may end after the guard.
    struct state {
        state(std::shared_ptr<docker_socket> of, const clock::time_point* its_until)
            : socket{std::move(of)}, until{its_until}, timer{socket->get_executor()}
        {
        }
        std::shared_ptr<docker_socket> socket;
        const clock::time_point* until;
        clock::time_point deadline{clock::time_point::max()};
        asio::steady_timer timer;
    };

    static void watch(const std::shared_ptr<state>& its)
    {
        auto next = its->deadline;
        if (its->until) next = std::min({next, *its->until, clock::now() + look_interval});
        if (next == clock::time_point::max()) return;
        its->timer.expires_at(next);
        its->timer.async_wait([its](boost::system::error_code ec) {
            if (ec) return;
            const auto now = clock::now();
            if (now < its->deadline && !(its->until && now >= *its->until)) return watch(its);
            boost::system::error_code ignored;
            its->socket->close(ignored);
        });
    }

    std::shared_ptr<state> its_;
};

error lost(const std::string& path, const boost::system::error_code& ec)
{
    return {errc::unavailable, "the Docker daemon at " + path + " does not answer: " +
                                   (ec == asio::error::operation_aborted || ec == asio::error::bad_descriptor
                                        ? std::string{"it took too long"}
                                        : ec.message())};
}

template <class Body>
http::request<Body> request_of(http::verb verb, const std::string& target)
{
    http::request<Body> made{verb, target, 11};
    made.set(http::field::host, "docker");
    made.set(http::field::user_agent, "sandboxd");
    return made;
}

}  // namespace

asio::awaitable<result<std::shared_ptr<docker_socket>>> docker_api::connect() const
{
    auto socket = std::make_shared<docker_socket>(co_await asio::this_coro::executor);
    if (socket_path_.size() > 107) co_return error{errc::unavailable, socket_path_ + " is too long for a Unix socket"};
    const asio::local::stream_protocol::endpoint where{socket_path_};
    const auto [ec] = co_await socket->async_connect(where, asio::as_tuple(asio::use_awaitable));
    if (ec)
        co_return error{errc::unavailable,
                        "no Docker daemon listens on " + socket_path_ + " (" + ec.message() +
                            "); start it (systemctl start docker), give this user access, or set docker.socketPath"};
    co_return socket;
}

asio::awaitable<result<docker_api::reply>> docker_api::call(http::verb verb, std::string target, std::string body,
                                                            std::string type,
                                                            std::optional<std::chrono::milliseconds> patience) const
{
    auto connected = co_await connect();
    if (!connected) co_return connected.error();
    const auto& socket = *connected;
    const guard watched{socket, patience.value_or(timeout_), until_};
    auto asked = request_of<http::string_body>(verb, prefix_ + target);
    asked.set(http::field::connection, "close");
    if (!body.empty()) asked.set(http::field::content_type, type);
    asked.body() = std::move(body);
    asked.prepare_payload();
    const auto [unsent, sent] = co_await http::async_write(*socket, asked, asio::as_tuple(asio::use_awaitable));
    static_cast<void>(sent);
    if (unsent) co_return lost(socket_path_, unsent);
    beast::flat_buffer buffer;
    http::response_parser<http::string_body> parser;
    parser.body_limit(most_of_an_answer);
    const auto [unread, read] = co_await http::async_read(*socket, buffer, parser, asio::as_tuple(asio::use_awaitable));
    static_cast<void>(read);
    if (unread) co_return lost(socket_path_, unread);
    reply answer{parser.get().result_int(), std::move(parser.get().body())};
    co_return answer;
}

asio::awaitable<result<docker_api::stream>> docker_api::attach(std::string target) const
{
    auto connected = co_await connect();
    if (!connected) co_return connected.error();
    const auto& socket = *connected;
    const guard watched{socket, timeout_, until_};
    auto asked = request_of<http::empty_body>(http::verb::post, prefix_ + target);
    asked.set(http::field::connection, "Upgrade");
    asked.set(http::field::upgrade, "tcp");
    asked.prepare_payload();
    const auto [unsent, sent] = co_await http::async_write(*socket, asked, asio::as_tuple(asio::use_awaitable));
    static_cast<void>(sent);
    if (unsent) co_return lost(socket_path_, unsent);
    beast::flat_buffer buffer;
    http::response_parser<http::string_body> parser;
    const auto [unread, read] =
        co_await http::async_read_header(*socket, buffer, parser, asio::as_tuple(asio::use_awaitable));
    static_cast<void>(read);
    if (unread) co_return lost(socket_path_, unread);
    const auto status = parser.get().result_int();
    if (status != 101 && status != 200) {
        const auto [rest, count] =
            co_await http::async_read(*socket, buffer, parser, asio::as_tuple(asio::use_awaitable));
        static_cast<void>(count);
        const reply refused{status, rest ? std::string{} : parser.get().body()};
        co_return error{errc::unavailable, "Docker cannot attach to a container: " + message_of(refused)};
    }
    stream taken{socket, std::string{static_cast<const char*>(buffer.data().data()), buffer.data().size()}};
    co_return taken;
}

std::string docker_api::message_of(const reply& answer)
{
    boost::system::error_code ec;
    const auto value = json::parse(answer.body, ec);
    if (!ec && value.is_object()) {
        const auto* const message = value.get_object().if_contains("message");
        if (message && message->is_string()) return std::string{message->get_string()};
    }
    return "status " + std::to_string(answer.status) + " " + answer.body.substr(0, shown_of_a_message);
}

}  // namespace sandboxd::jail
