// A connection whose answers are looked at while they are coming: for streams, tunnels, and bytes that are no HTTP.
#pragma once

#include "support/http_client.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <string>
#include <string_view>

namespace sandboxd::test {

class stream_client {
public:
    explicit stream_client(const server_process& server) : client_{server} {}

    bool send(std::string_view bytes) { return client_.send(bytes); }
    // Everything up to and including `text`; what there was when the connection ended before that, or in a minute
    // nothing came.
    std::string until(std::string_view text)
    {
        for (;;) {
            if (const auto at = read_.find(text); at != std::string::npos) {
                auto got = read_.substr(0, at + text.size());
                read_.erase(0, at + text.size());
                return got;
            }
            if (!more()) return std::exchange(read_, {});
        }
    }
    std::string rest()
    {
        while (more()) {
        }
        return std::exchange(read_, {});
    }
    // Whether the last read found the end, or a reset: then `reset` tells.
    bool reset() const { return reset_; }
    int native() const { return client_.native(); }
    void shutdown_send() { client_.shutdown_send(); }
    void close() { client_.close(); }

private:
    bool more()
    {
        pollfd one{client_.native(), POLLIN, 0};
        constexpr int patience_ms = 60'000;
        if (::poll(&one, 1, patience_ms) != 1) return false;
        char piece[16384];
        const auto got = ::recv(client_.native(), piece, sizeof piece, 0);
        reset_ = got < 0;
        if (got <= 0) return false;
        read_.append(piece, static_cast<std::size_t>(got));
        return true;
    }

    http_client client_;
    std::string read_;
    bool reset_{false};
};

}  // namespace sandboxd::test
