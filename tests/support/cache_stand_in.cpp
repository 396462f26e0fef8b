#include "support/cache_stand_in.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <thread>

namespace sandboxd::test {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr auto as_pair = asio::as_tuple(asio::use_awaitable);

std::size_t length_of(const std::string& head)
{
    const std::string name = "\r\nContent-Length: ";
    const auto at = head.find(name);
    return at == std::string::npos ? 0 : std::stoul(head.substr(at + name.size()));
}

}  // namespace

struct cache_stand_in::state {
    asio::io_context io;
    tcp::acceptor acceptor{io, tcp::endpoint{asio::ip::address_v4::loopback(), 0}};
    mutable std::mutex mutex;
    std::map<std::string, std::string> stored;
    std::map<std::string, std::size_t> asked;
    std::size_t taken{0};
    liar how;
    std::thread thread;

    asio::awaitable<void> accept()
    {
        for (;;) {
            auto [ec, socket] = co_await acceptor.async_accept(as_pair);
            if (ec) co_return;
            {
                const std::scoped_lock lock{mutex};
                ++taken;
            }
            asio::co_spawn(io, serve(std::move(socket)), asio::detached);
        }
    }

    static asio::awaitable<bool> say(tcp::socket& to, const answer& what)
    {
        asio::steady_timer pause{to.get_executor()};
        for (std::size_t at = 0; at < what.bytes.size();) {
            const auto size = what.byte_by_byte ? std::min(what.piece, what.bytes.size() - at) : what.bytes.size();
            const auto [ec, sent] = co_await asio::async_write(to, asio::buffer(what.bytes.data() + at, size), as_pair);
            if (ec) co_return false;
            at += sent;
            if (!what.byte_by_byte) continue;
            pause.expires_after(std::chrono::milliseconds{20});
            co_await pause.async_wait(as_pair);
        }
        while (!what.then_forever.empty()) {
            const auto [ec, sent] = co_await asio::async_write(to, asio::buffer(what.then_forever), as_pair);
            if (ec) co_return false;
        }
        if (what.never_close) {
            char one = 0;
            co_await asio::async_read(to, asio::buffer(&one, 1), as_pair);
        }
        co_return !what.close && !what.never_close;
    }

    answer honest(const request& one, std::string body)
    {
        const std::scoped_lock lock{mutex};
        if (one.method == "PUT") {
            stored[one.target] = std::move(body);
            return {whole("", "201 Created")};
        }
        if (!one.stored) return {whole("", "404 Not Found")};
        auto all = whole(*one.stored);
        if (one.method == "HEAD") all.resize(all.size() - one.stored->size());
        return {std::move(all)};
    }

    asio::awaitable<void> serve(tcp::socket socket)
    {
        std::string buffer;
        for (;;) {
            const auto [ec, size] =
                co_await asio::async_read_until(socket, asio::dynamic_buffer(buffer), "\r\n\r\n", as_pair);
            if (ec) co_return;
            request one;
            one.head = buffer.substr(0, size);
            buffer.erase(0, size);
            const auto space = one.head.find(' ');
            one.method = one.head.substr(0, space);
            one.target = one.head.substr(space + 1, one.head.find(' ', space + 1) - space - 1);
            const auto wanted = length_of(one.head);
            while (buffer.size() < wanted) {
                const auto [failed, got] = co_await asio::async_read(
                    socket, asio::dynamic_buffer(buffer), asio::transfer_exactly(wanted - buffer.size()), as_pair);
                if (failed) co_return;
            }
            auto body = buffer.substr(0, wanted);
            buffer.erase(0, wanted);
            liar now;
            {
                const std::scoped_lock lock{mutex};
                ++asked[one.method];
                if (const auto found = stored.find(one.target); found != stored.end()) one.stored = found->second;
                now = how;
            }
            std::optional<answer> said;
            if (now) said = now(one);
            const auto all = said ? std::move(*said) : honest(one, std::move(body));
            if (!co_await say(socket, all)) co_return;
        }
    }
};

cache_stand_in::cache_stand_in() : its_{std::make_unique<state>()}
{
    asio::co_spawn(its_->io, its_->accept(), asio::detached);
    its_->thread = std::thread{[this] { its_->io.run(); }};
}

cache_stand_in::~cache_stand_in()
{
    its_->io.stop();
    its_->thread.join();
}

std::uint16_t cache_stand_in::port() const { return its_->acceptor.local_endpoint().port(); }

void cache_stand_in::lie(liar how)
{
    const std::scoped_lock lock{its_->mutex};
    its_->how = std::move(how);
}

std::map<std::string, std::string> cache_stand_in::contents() const
{
    const std::scoped_lock lock{its_->mutex};
    return its_->stored;
}

void cache_stand_in::put(const std::string& target, std::string bytes)
{
    const std::scoped_lock lock{its_->mutex};
    its_->stored[target] = std::move(bytes);
}

std::size_t cache_stand_in::requests(const std::string& method) const
{
    const std::scoped_lock lock{its_->mutex};
    const auto found = its_->asked.find(method);
    return found == its_->asked.end() ? 0 : found->second;
}

std::size_t cache_stand_in::connections() const
{
    const std::scoped_lock lock{its_->mutex};
    return its_->taken;
}

std::string cache_stand_in::whole(const std::string& body, const std::string& status)
{
    return "HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

}  // namespace sandboxd::test
