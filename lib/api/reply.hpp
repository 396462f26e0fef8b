// The shapes of answers: JSON that ends with a newline, errors as `{"ok":false,"error":"…for
// people…","code":"stable_name"}`, CORS where it is allowed.
#pragma once

#include "async/turns.hpp"
#include "base/errc.hpp"
#include "http/exchange.hpp"
#include "http/message.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
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
// So many bytes can be behind `into` without a copy of what is there; what stays unused costs no memory.
void make_json_room(std::string& into, std::size_t bytes);
// The objects that `describe` makes of `items`, as a JSON list behind `into`. In turns: nobody bounds how long all of
// them are together. `into` and `items` must stay.
template <class Items, class Describe>
boost::asio::awaitable<void> append_json_list(std::string& into, const Items& items, Describe describe,
                                              async::turns& turn)
{
    into += '[';
    bool is_first = true;
    for (const auto& one : items) {
        if (!std::exchange(is_first, false)) into += ',';
        into += boost::json::serialize(describe(one));
        if (turn.over()) co_await turn.rest();
    }
    into += ']';
}
http::response text_reply(unsigned status, std::string text);

// Rounded to the nearest, for all times in answers.
std::int64_t milliseconds(std::chrono::microseconds time);

// `more` follows the three members of every error. 503 and 429 carry Retry-After. For an internal error (500) the
// client gets only a general sentence; the cause goes with the response, for the log.
http::response error_reply(const error& what, const boost::json::object& more = {});

}  // namespace sandboxd::api
