// The Docker Engine API over its Unix socket: a request at a time on a connection of its own.
// https://docs.docker.com/reference/api/engine/
#pragma once

#include "base/errc.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/http/verb.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::jail {

using docker_socket = boost::asio::local::stream_protocol::socket;

class docker_api {
public:
    struct reply {
        unsigned status{0};
        std::string body;
    };

    // A stream that the daemon has handed over, and what came with the header already.
    struct stream {
        std::shared_ptr<docker_socket> socket;
        std::string early;
    };

    docker_api(std::string socket_path, std::chrono::milliseconds timeout)
        : socket_path_{std::move(socket_path)}, timeout_{timeout}
    {
    }

    // What every target begins with from now on: "/v1.41".
    void speak(const std::string& version) { prefix_ = "/v" + version; }

    // The same, for calls none of which is waited for beyond `until`, which may be brought forward while they are
    // under way, and must outlive them.
    docker_api until(const std::chrono::steady_clock::time_point& until) const
    {
        auto made = *this;
        made.until_ = &until;
        return made;
    }

    const std::string& socket_path() const noexcept { return socket_path_; }

    // `body`: sent as `type`; empty: none. `patience`: how long the answer may take; empty: the timeout that was
    // set; zero: for ever. Answers of any status are answers. Error: `unavailable`, when there is nobody, or the
    // answer does not come or is none.
    boost::asio::awaitable<result<reply>> call(boost::beast::http::verb verb, std::string target, std::string body = {},
                                               std::string type = "application/json",
                                               std::optional<std::chrono::milliseconds> patience = std::nullopt) const;

    // Asks for a container's streams and takes the connection over. Error: `unavailable`.
    boost::asio::awaitable<result<stream>> attach(std::string target) const;

    // The `message` of an answer that is an error.
    static std::string message_of(const reply& answer);

private:
    boost::asio::awaitable<result<std::shared_ptr<docker_socket>>> connect() const;

    std::string socket_path_;
    std::chrono::milliseconds timeout_;
    std::string prefix_;
    const std::chrono::steady_clock::time_point* until_{nullptr};
};

}  // namespace sandboxd::jail
