// Answers of a Redis server, of the bytes that it sends (RESP2,
// https://redis.io/docs/latest/develop/reference/protocol-spec/). hiredis reads the protocol; what is made of it is
// ours, and bounded while it is made, since the server is trusted no further than its answers can be checked.
#pragma once

#include "base/errc.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

struct redisReader;  // NOLINT(readability-identifier-naming): of hiredis

namespace sandboxd::cluster {

struct reply {
    enum class kind : std::uint8_t { nothing, status, failure, number, text, list };

    kind is{kind::nothing};
    std::string text{};         // of a status, a failure or a text: any bytes
    std::int64_t number{0};     // of a number
    std::vector<reply> list{};  // of a list

    bool operator==(const reply&) const = default;
};

// Lists in lists. hiredis has a bound of its own beyond it.
inline constexpr unsigned deepest_reply = 6;

class reply_reader {
public:
    // `most_bytes`: of one answer, both as it comes and as it is kept, where each element of a list counts as at least
    // sizeof(reply).
    explicit reply_reader(std::size_t most_bytes);
    reply_reader(const reply_reader&) = delete;
    reply_reader& operator=(const reply_reader&) = delete;
    ~reply_reader();

    // What has come next, in any pieces.
    void feed(std::string_view bytes);

    // The next answer that is whole; nullopt: more must come. Errors: payload_too_large, upstream_failed (not the
    // protocol, or nested too deeply). After an error the reader has only errors.
    result<std::optional<reply>> next();

    // Whether nothing of a further answer has come.
    bool is_empty() const noexcept;

private:
    struct budget;
    struct makers;

    error refusal() const;

    std::size_t most_bytes_;
    std::unique_ptr<budget> budget_;
    redisReader* reader_;
};

// A command and its arguments, as they are sent. Errors: payload_too_large, invalid_request (no words).
result<std::string> request_of(const std::vector<std::string>& words, std::size_t most_bytes);

}  // namespace sandboxd::cluster
