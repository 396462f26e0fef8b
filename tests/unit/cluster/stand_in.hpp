// A Redis that does as it is told, on the loop of its client. It answers the connection's first words as it should.
#pragma once

#include "cluster/reply_reader.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sandboxd::test {

class redis_stand_in {
public:
    using words = std::vector<std::string>;

    struct answer {
        std::string bytes;
        bool close{false};
        bool never_read{false};  // it says no more, and reads no more
    };

    // What is said to these words; nullopt: nothing.
    using script = std::function<std::optional<answer>(const words&)>;

    redis_stand_in(const boost::asio::any_io_executor& executor, script how)
        : its_{std::make_shared<state>(executor, std::move(how))}
    {
        boost::asio::co_spawn(executor, accept(its_), boost::asio::detached);
    }
    ~redis_stand_in() { close(); }
    redis_stand_in(const redis_stand_in&) = delete;
    redis_stand_in& operator=(const redis_stand_in&) = delete;

    std::string url() const { return "redis://127.0.0.1:" + std::to_string(its_->acceptor.local_endpoint().port()); }
    const std::vector<words>& asked() const { return its_->asked; }
    std::size_t connections() const { return its_->connections; }
    void close()
    {
        boost::system::error_code ignored;
        its_->acceptor.close(ignored);
        for (const auto& one : its_->open)
            if (const auto still = one.lock()) still->close(ignored);
    }

private:
    using tcp = boost::asio::ip::tcp;

    struct state {
        state(const boost::asio::any_io_executor& executor, script to_be)
            : acceptor{executor, {boost::asio::ip::address_v4::loopback(), 0}}, how{std::move(to_be)}
        {
        }
        tcp::acceptor acceptor;
        script how;
        std::vector<words> asked{};
        std::vector<std::weak_ptr<tcp::socket>> open{};
        std::size_t connections{0};
    };

    static boost::asio::awaitable<void> accept(std::shared_ptr<state> its)
    {
        for (;;) {
            auto [ec, socket] = co_await its->acceptor.async_accept(boost::asio::as_tuple(boost::asio::use_awaitable));
            if (ec) co_return;
            ++its->connections;
            auto on = std::make_shared<tcp::socket>(std::move(socket));
            its->open.push_back(on);
            boost::asio::co_spawn(its->acceptor.get_executor(), serve(its, on), boost::asio::detached);
        }
    }

    static boost::asio::awaitable<void> serve(std::shared_ptr<state> its, std::shared_ptr<tcp::socket> on)
    {
        cluster::reply_reader requests{1 << 20};
        std::array<char, 4096> piece{};
        for (;;) {
            auto next = requests.next();
            if (!next) co_return;
            if (!*next) {
                const auto [ec, size] = co_await on->async_read_some(boost::asio::buffer(piece),
                                                                     boost::asio::as_tuple(boost::asio::use_awaitable));
                if (ec) co_return;
                requests.feed({piece.data(), size});
                continue;
            }
            words said;
            for (auto& one : (*next)->list) said.push_back(std::move(one.text));
            auto to_say = its->how(said);
            if (!to_say && said == words{"PING"}) to_say = answer{"+PONG\r\n"};
            its->asked.push_back(std::move(said));
            if (!to_say) continue;
            const auto bytes = boost::asio::buffer(to_say->bytes);
            const auto [ec, sent] =
                co_await boost::asio::async_write(*on, bytes, boost::asio::as_tuple(boost::asio::use_awaitable));
            if (ec || to_say->close) {
                boost::system::error_code ignored;
                on->close(ignored);
                co_return;
            }
            if (to_say->never_read) co_await until_closed(its, on);
            static_cast<void>(sent);
        }
    }

    static boost::asio::awaitable<void> until_closed(std::shared_ptr<state> its, std::shared_ptr<tcp::socket> on)
    {
        // Errors are awaited, not bytes.
        const auto [ec] =
            co_await on->async_wait(tcp::socket::wait_error, boost::asio::as_tuple(boost::asio::use_awaitable));
        static_cast<void>(ec);
        static_cast<void>(its);
    }

    std::shared_ptr<state> its_;
};

}  // namespace sandboxd::test
