// The shapes of answers: JSON that ends with a newline, errors as `{"ok":false,"error":"…for
// people…","code":"stable_name"}`, CORS where it is allowed.
#pragma once

#include "async/turns.hpp"
#include "base/errc.hpp"
#include "http/exchange.hpp"
#include "http/message.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::api {

// The HTTP status of an error.
unsigned status_of(errc code) noexcept;
// Every error, in the order of the enumeration.
std::vector<errc> all_codes();

http::response json_reply(unsigned status, const boost::json::object& body);
// The same for JSON text; adds the newline.
http::response json_reply(unsigned status, std::string body);
// `text` as a JSON string, for answers that are written as text.
std::string json_text(std::string_view text);
// What a program printed, as such a string behind `into`; what is no UTF-8 in it becomes U+FFFD. In turns: it may have
// printed megabytes of what grows, at most sixfold. `into` and `bytes` must stay.
boost::asio::awaitable<void> append_json_text(std::string& into, std::string_view bytes, async::turns& turn);
http::response text_reply(unsigned status, std::string text);

// Rounded to the nearest, for all times in answers.
std::int64_t milliseconds(std::chrono::microseconds time);

// `more` follows the three members of every error. 503 and 429 carry Retry-After. For an internal error (500) the
// client gets only a general sentence; the cause goes with the response, for the log.
http::response error_reply(const error& what, const boost::json::object& more = {});

}  // namespace sandboxd::api
