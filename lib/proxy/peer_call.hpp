// One request to another server of the fleet, and its whole answer: for requests whose body was read already, and which
// may have no connection any more (jobs, tools). What streams is passed on by forwarder.hpp.
//
// It is sent once, over a connection of its own.
#pragma once

#include "async/stop.hpp"
#include "base/errc.hpp"
#include "proxy/peers.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd::proxy {

struct peer_call {
    std::string_view method{"POST"};  // a literal
    std::string target;               // origin-form
    std::string host;
    std::vector<std::pair<std::string_view, std::string>> fields{};  // names are literals; values have no controls
    std::string body{};
    // Of the answer, for a caller that has no key for it: from the last byte sent to the last one received, and sizes.
    std::chrono::milliseconds timeout{60'000};
    std::size_t head_bytes{32 * 1024};
    std::size_t body_bytes{64u << 20};
};

struct peer_reply {
    unsigned status{0};
    std::vector<std::pair<std::string, std::string>> fields{};
    std::string body{};

    // The first of that name; empty: there is none.
    std::string_view operator[](std::string_view name) const noexcept;
};

// An answer of any status is a result. Errors: unavailable (no connection: nothing was sent), upstream_failed,
// upstream_timeout, payload_too_large (the answer), draining, the cause of `stop`.
boost::asio::awaitable<result<peer_reply>> ask_peer(peers& by, std::string server, peer_call what,
                                                    async::stop_source& stop);

}  // namespace sandboxd::proxy
