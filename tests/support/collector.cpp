#include "support/collector.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <cctype>
#include <mutex>
#include <thread>

namespace sandboxd::test {

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace json = boost::json;
using asio::ip::tcp;

namespace {

constexpr auto as_pair = asio::as_tuple(asio::use_awaitable);
constexpr std::uint64_t most_body_bytes = 64u << 20;

std::string in_lower_case(std::string text)
{
    for (auto& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return text;
}

}  // namespace

// What is kept beyond one life.
struct collector::state {
    mutable std::mutex mutex;
    script how;
    std::vector<request> asked;
    std::vector<request> taken;
    std::size_t connections{0};
};

struct collector::life {
    life(std::shared_ptr<state> keeps, std::uint16_t port)
        : all{std::move(keeps)}, acceptor{io, tcp::endpoint{asio::ip::address_v4::loopback(), port}}
    {
        asio::co_spawn(io, accept(), asio::detached);
        thread = std::thread{[this] { io.run(); }};
    }
    ~life()
    {
        io.stop();
        thread.join();
    }
    life(const life&) = delete;
    life& operator=(const life&) = delete;

    asio::awaitable<void> accept()
    {
        for (;;) {
            auto [ec, socket] = co_await acceptor.async_accept(as_pair);
            if (ec) co_return;
            {
                const std::scoped_lock lock{all->mutex};
                ++all->connections;
            }
            asio::co_spawn(io, serve(std::move(socket)), asio::detached);
        }
    }

    answer answer_to(const request& one)
    {
        script how;
        std::size_t number = 0;
        {
            const std::scoped_lock lock{all->mutex};
            number = all->asked.size();
            all->asked.push_back(one);
            how = all->how;
        }
        auto said = how ? how(one, number) : answer{};
        const std::scoped_lock lock{all->mutex};
        if (said.status == 200 && !said.raw && !said.says_nothing) all->taken.push_back(one);
        return said;
    }

    asio::awaitable<void> serve(tcp::socket socket)
    {
        boost::beast::flat_buffer buffer;
        for (;;) {
            http::request_parser<http::string_body> parser;
            parser.body_limit(most_body_bytes);
            const auto [failed, size] = co_await http::async_read(socket, buffer, parser, as_pair);
            if (failed) co_return;
            auto message = parser.release();
            request one{.method = std::string{message.method_string()},
                        .target = std::string{message.target()},
                        .fields = {},
                        .body = std::move(message.body()),
                        .came = std::chrono::steady_clock::now()};
            for (const auto& field : message)
                one.fields[in_lower_case(std::string{field.name_string()})] = std::string{field.value()};
            const auto said = answer_to(one);
            if (said.says_nothing) {
                char more = 0;
                co_await socket.async_read_some(asio::buffer(&more, 1), as_pair);
                co_return;
            }
            if (said.raw) {
                co_await asio::async_write(socket, asio::buffer(*said.raw), as_pair);
            } else {
                http::response<http::string_body> made{static_cast<http::status>(said.status), message.version()};
                made.set(http::field::content_type, "application/json");
                for (const auto& [name, value] : said.fields) made.set(name, value);
                made.body() = said.body;
                made.keep_alive(!said.close);
                made.prepare_payload();
                co_await http::async_write(socket, made, as_pair);
            }
            if (said.close) co_return;
        }
    }

    std::shared_ptr<state> all;
    asio::io_context io;
    tcp::acceptor acceptor;
    std::thread thread;
};

collector::collector() : its_{std::make_shared<state>()}, life_{std::make_unique<life>(its_, std::uint16_t{0})}
{
    port_ = life_->acceptor.local_endpoint().port();
}

collector::~collector() = default;

void collector::answer_with(script how)
{
    const std::scoped_lock lock{its_->mutex};
    its_->how = std::move(how);
}

void collector::end() { life_.reset(); }

void collector::start_again() { life_ = std::make_unique<life>(its_, port_); }

std::vector<collector::request> collector::requests() const
{
    const std::scoped_lock lock{its_->mutex};
    return its_->asked;
}

std::size_t collector::connections() const
{
    const std::scoped_lock lock{its_->mutex};
    return its_->connections;
}

std::vector<json::object> collector::spans() const
{
    std::vector<request> taken;
    {
        const std::scoped_lock lock{its_->mutex};
        taken = its_->taken;
    }
    std::vector<json::object> all;
    for (const auto& one : taken) {
        const auto whole = json::parse(one.body);
        for (const auto& resource : whole.at("resourceSpans").as_array())
            for (const auto& scope : resource.at("scopeSpans").as_array())
                for (const auto& span : scope.at("spans").as_array()) all.push_back(span.as_object());
    }
    return all;
}

std::string collector::text(const json::object& of, const char* key)
{
    const auto* const value = of.if_contains(key);
    if (value == nullptr) return {};
    return value->is_string() ? std::string{value->as_string()} : json::serialize(*value);
}

std::string collector::attribute(const json::object& span, const std::string& key)
{
    const auto* const all = span.if_contains("attributes");
    if (all == nullptr) return {};
    for (const auto& one : all->as_array())
        if (text(one.as_object(), "key") == key)
            for (const auto& value : one.at("value").as_object())
                return value.value().is_string() ? std::string{value.value().as_string()}
                                                 : json::serialize(value.value());
    return {};
}

}  // namespace sandboxd::test
