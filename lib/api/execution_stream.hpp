// An execution's output as it happens, as server-sent events or as JSON, one value a line:
//
//     event: stdout                     {"event":"stdout","text":"…"}
//     data: {"text":"…"}
//
// `stdout` and `stderr` come any number of times, then `exit` with the other members of a plain answer, or `error` if
// the execution was ended from outside.
#pragma once

#include "http/event_stream.hpp"
#include "http/exchange.hpp"
#include "process/child.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>

#include <array>
#include <string>
#include <string_view>

namespace sandboxd::api {

// The length of an unfinished UTF-8 character at the end of `text`: 0 to 3 bytes.
std::size_t unfinished_utf8(std::string_view text) noexcept;

class execution_stream final : public process::output_taker {
public:
    // `form` is not none. The answer begins with the first output.
    execution_stream(http::exchange& x, http::stream_form form) : x_{x}, form_{form} {}
    virtual ~execution_stream() = default;

    boost::asio::awaitable<void> take(process::output_stream which, std::string_view piece) override;
    bool begun() const noexcept { return x_.begun(); }
    // Writes the rest of the output, then one last event; `name` is a literal.
    boost::asio::awaitable<void> end(std::string_view name, boost::json::object what);

private:
    void add_output(std::size_t which, std::string_view text);
    void add(std::string_view name, boost::json::object what);

    http::exchange& x_;
    http::stream_form form_;
    std::array<std::string, 2> rest_;  // of standard output and error: an unfinished character
    std::string pending_;
    bool writing_{false};
};

}  // namespace sandboxd::api
