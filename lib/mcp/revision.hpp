// The revisions of the Model Context Protocol that this server speaks over Streamable HTTP, and what each demands of a
// request.
//
// 2026-07-28 is stateless: every request names its revision and its client's capabilities in `_meta`, and repeats the
// revision, its method and the name of its tool or resource in header fields, which must agree.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http
//
// 2025-11-25 (and 2025-06-18, which asks the same of a server like this one) begins with `initialize`. Here that leaves
// nothing behind: all that it settles is in the fields of each later request.
// https://modelcontextprotocol.io/specification/2025-11-25/basic/transports
//
// Pure: no I/O.
#pragma once

#include "mcp/rpc.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace sandboxd::mcp {

inline constexpr std::string_view stateless_revision = "2026-07-28";
// The newest first.
inline constexpr std::array<std::string_view, 2> handshake_revisions{"2025-11-25", "2025-06-18"};

// A request's header fields, without the white space around them; nullopt: it has none of that name.
struct request_fields {
    std::optional<std::string_view> version{};  // MCP-Protocol-Version
    std::optional<std::string_view> method{};   // Mcp-Method
    std::optional<std::string_view> name{};     // Mcp-Name
    std::optional<std::string_view> session{};  // Mcp-Session-Id
};

// A request or a notification that may be served.
struct request {
    bool stateless{true};  // of 2026-07-28
    bool is_notification{false};
    std::string id{};  // as JSON; empty for a notification
    std::string method{};
    std::string name{};                // the tool of tools/call, the URI of resources/read
    std::string_view arguments{"{}"};  // of tools/call: an object, a slice of the message
    std::string progress_token{};      // as JSON; empty: nobody waits for progress
    std::string session{};             // that 2025-11-25 names; empty: none
    std::string cancelled{};           // of notifications/cancelled: the id, as JSON; empty: none that is valid
    std::string wanted_revision{};     // of initialize
};

// Checks a message against its revision. Errors, with the message's id: invalid_request (a response: this server asks
// nothing), header_mismatch, unsupported_version, method_not_found, invalid_params.
std::variant<request, rpc_error> check_request(const rpc_message& message, const request_fields& fields);

// The header fields that a client adds to a message.
struct told_fields {
    std::string version;  // empty: none
    std::string method;
    std::string name;  // empty: none
    bool stateless{false};
};
// `negotiated`: the revision of `initialize`, for a message that names none itself.
told_fields fields_of(const rpc_message& message, std::string_view negotiated);

// What the server says of itself.
struct identity {
    std::string version;       // sandboxd's own
    std::string instructions;  // for the model: how to use the tools
};

// The results of these methods.
boost::json::object initialize_result(const request& asked, const identity& who);
boost::json::object discover_result(const identity& who);

// For how long a client may keep a list, and who else may see it. https://modelcontextprotocol.io/specification/
// 2026-07-28/server/utilities/caching
enum class caching { none, list, resource };

// The answer: a result with these members and with what one of the request's revision has besides. `members` is JSON
// without the braces around it.
std::string complete(const request& asked, const identity& who, std::string_view members, caching how);
std::string complete(const request& asked, const identity& who, const boost::json::object& result, caching how);

// notifications/progress. `progress` must grow with each one of a request.
std::string progress_message(const request& asked, std::uint64_t progress, std::string_view message);

// subscriptions/listen: the first message, which says that no notification of the wanted ones will come, and the last.
std::string acknowledged_message(const request& asked);
std::string listened_message(const request& asked, const identity& who);

}  // namespace sandboxd::mcp
