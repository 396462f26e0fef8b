// The Docker Engine API over its Unix socket: each request has its own connection.
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

    // A stream that the daemon has handed over, and the bytes that came with the header.
    struct stream {
        std::shared_ptr<docker_socket> socket;
        std::string early;
    };

    docker_api(std::string socket_path, std::chrono::milliseconds timeout)
        : socket_path_{std::move(socket_path)}, timeout_{timeout}
    {
    }

    // Sets the prefix of every later target: "/v1.41".
    void speak(const std::string& version) { prefix_ = "/v" + version; }

    // A copy whose calls wait no longer than `until`, which must outlive them and may be brought forward meanwhile.
    docker_api until(const std::chrono::steady_clock::time_point& until) const
    {
        auto made = *this;
        made.until_ = &until;
        return made;
    }

    const std::string& socket_path() const noexcept { return socket_path_; }

    // `body`: sent as `type`; empty: none. `patience`: how long the answer may take; empty: the configured timeout;
    // zero: for ever. An answer of any status is a result. Error: `unavailable`, when no daemon listens, or its
    // answer does not come or is invalid.
    boost::asio::awaitable<result<reply>> call(boost::beast::http::verb verb, std::string target, std::string body = {},
                                               std::string type = "application/json",
                                               std::optional<std::chrono::milliseconds> patience = std::nullopt) const;

    // Attaches to a container's streams and takes over the connection. Error: `unavailable`.
    boost::asio::awaitable<result<stream>> attach(std::string target) const;

    // The `message` of an error answer.
    static std::string message_of(const reply& answer);

private:
    boost::asio::awaitable<result<std::shared_ptr<docker_socket>>> connect() const;

    std::string socket_path_;
    std::chrono::milliseconds timeout_;
    std::string prefix_;
    const std::chrono::steady_clock::time_point* until_{nullptr};
};

}  // namespace sandboxd::jail
