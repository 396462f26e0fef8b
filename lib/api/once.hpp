// What every POST may ask for besides its answer: that it is done once (Idempotency-Key), or answered later
// (Prefer: respond-async), or told of as it goes (Accept: text/event-stream).
#pragma once

#include "api/services.hpp"
#include "http/exchange.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::api {

// What a row has for these.
struct posted {
    boost::asio::awaitable<http::response> (*handle)(services& with, http::exchange& x);
    http::response (*refuse)(const error& why);
    std::string_view pattern;
    // Whether it may be answered later.
    bool may_wait{false};
    // Whether the handler tells followers of its progress: it can be streamed.
    bool tells{false};
    // Whether its answers may be kept for an Idempotency-Key. Otherwise that field says nothing.
    bool keeps{true};
};

// Whether the same request may have another answer later, because it was not done.
constexpr bool says_not_now(unsigned status) noexcept { return status == 408 || status == 429 || status == 503; }

// Answers a POST by its handler, in the way that the request asks for.
boost::asio::awaitable<http::response> answer_post(services& with, http::exchange& x, posted row);

// The key in an Idempotency-Key field: a string of RFC 8941 (3.3.3), or the same without its quotes, of 1 to 255
// visible characters. Nullopt: neither.
std::optional<std::string> idempotency_key(std::string_view field);

// What a Prefer field (RFC 7240) says about waiting.
struct waiting_preference {
    bool respond_async{false};
    std::chrono::seconds wait{0};  // before the answer that there is a job
};
// Adds what one field line says; what is not understood is ignored, and of two the first counts.
void read_preference(std::string_view field, waiting_preference& into);

}  // namespace sandboxd::api
