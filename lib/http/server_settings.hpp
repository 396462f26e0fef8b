// The limits of one client and of all clients together. Each is a key of the configuration's `http` section.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace sandboxd::http {

struct server_settings {
    std::size_t connections{10'000};
    // Of one client, over TCP; beyond it one of its waiting connections is closed, or else the new one is refused.
    std::size_t connections_a_client{5'000};
    // Of one client, without GET, HEAD and OPTIONS; then 429. 0: no limit. See quota.hpp.
    std::size_t requests_a_minute{0};
    // Every TCP peer is a proxy: X-Forwarded-For names the client, as on the Unix socket.
    bool trust_forwarded{false};
    // Of all clients together: bytes of incomplete requests and of unsent answers.
    std::size_t received_bytes{128 * 1024 * 1024};
    // Bytes of complete bodies until their requests are answered; small ones are not counted.
    std::size_t pending_bytes{256 * 1024 * 1024};
    std::size_t unsent_bytes{128 * 1024 * 1024};
    std::size_t header_bytes{16 * 1024};               // request line and fields together; then 431
    std::size_t header_fields{100};                    // then 431
    std::size_t target_bytes{8 * 1024};                // then 414
    std::size_t body_bytes{4 * 1024 * 1024};           // then 413
    std::chrono::milliseconds header_timeout{10'000};  // from a request's first byte to its header's end; 408
    std::chrono::milliseconds body_timeout{30'000};    // the whole body; then 408
    // A body without such a limit, since it is passed on as it comes, may make the server wait for body_timeout plus
    // the time for its size at this rate; then 408.
    std::uint64_t read_bytes_per_sec{1024};
    std::chrono::milliseconds idle_timeout{75'000};   // between requests; then the connection is closed
    std::chrono::milliseconds write_timeout{30'000};  // without progress in sending an answer; then closed
    // An answer may take write_timeout plus the time for its size at this rate, however steadily the client reads.
    std::uint64_t write_bytes_per_sec{4096};
};

}  // namespace sandboxd::http
