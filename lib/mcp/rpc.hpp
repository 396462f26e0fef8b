// JSON-RPC 2.0 (https://www.jsonrpc.org/specification) as the Model Context Protocol uses it: one message a text, no
// batches, ids that are strings or integers, parameters that are objects.
//
// Messages come from strangers. A text is checked once, for its grammar, depth and members; afterwards its parts are
// slices of it, and no tree is built. Pure: no I/O.
#pragma once

#include "base/json_reader.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace sandboxd::mcp {

// https://modelcontextprotocol.io/specification/2026-07-28/basic#error-codes
namespace code {
inline constexpr int parse_error = -32700;
inline constexpr int invalid_request = -32600;
inline constexpr int method_not_found = -32601;
inline constexpr int invalid_params = -32602;
inline constexpr int internal_error = -32603;
inline constexpr int header_mismatch = -32020;
inline constexpr int unsupported_version = -32022;
}  // namespace code

struct rpc_error {
    int code{code::internal_error};
    std::string message{};
    unsigned status{200};  // of the HTTP answer
    std::string data{};    // JSON; empty: none
    std::string id{};      // of the request, as JSON; empty: it could not be read
};

struct rpc_message {
    enum class kind { request, notification, response };

    kind what{kind::request};
    std::string id{};  // as JSON: `7`, `"a"`; empty for a notification
    std::string method{};
    std::string_view params{"{}"};  // an object: a slice of the text that was read
};

// The text must outlive the message. An error's status is 400; its id is set if the text has a valid one.
std::variant<rpc_message, rpc_error> read_message(std::string_view text, const json_limits& limits = {});

// The values of these members of an object, as slices of its text; empty: it has none. The object is known to be JSON
// (from read_message). Nullopt: one of them comes twice. Linear.
std::optional<std::vector<std::string_view>> members_of(std::string_view object,
                                                        std::span<const std::string_view> names);

struct named_value {
    std::string_view name;   // as written, with its quotes
    std::string_view value;  // as written
};
// All members of an object, or all items of an array (without names), of text that is known to be JSON.
std::vector<named_value> members_of(std::string_view object);

// The same, some bytes at a time: for an object that is long.
class member_reader {
public:
    explicit member_reader(std::string_view object) : object_{object} {}
    // Reads on, about so many bytes. True at the end.
    bool read(std::size_t bytes);
    // So far.
    const std::vector<named_value>& found() const noexcept { return found_; }

private:
    void end_member(std::size_t at);

    std::string_view object_;
    std::size_t at_{0};
    std::size_t begin_{0};  // of a key or of a value
    std::size_t string_{0};
    std::size_t depth_{0};
    bool in_string_{false};
    std::string_view key_;
    std::vector<named_value> found_;
};
std::vector<std::string_view> items_of(std::string_view array);

// A value of JSON as a string; nullopt: it is none, or is absent (empty).
std::optional<std::string> text_of(std::string_view value);
// Whether a value is an object.
bool is_object(std::string_view value) noexcept;
// A value as an id or a progress token, in one spelling: a string of at most 256 bytes, or an integer.
std::optional<std::string> id_of(std::string_view value);

// A message's text, without a line's end. `result`, `params` and ids are JSON.
std::string result_message(std::string_view id, std::string_view result);
std::string error_message(const rpc_error& why);
std::string notification_message(std::string_view method, std::string_view params);

// `text` as a JSON string.
std::string json_quoted(std::string_view text);

}  // namespace sandboxd::mcp
