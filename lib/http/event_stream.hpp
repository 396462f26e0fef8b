// The two forms in which answers are streamed: server-sent events (https://html.spec.whatwg.org/#server-sent-events)
// and JSON, one value a line (application/x-ndjson).
#pragma once

#include "http/message.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::http {

enum class stream_form { none, events, json_lines };

// Whether an Accept field names this type, with a weight above 0; wildcards do not.
bool names_type(std::string_view accept, std::string_view type) noexcept;

// The form that an Accept field asks for by name: the first one with a weight above 0.
stream_form wanted_stream(std::string_view accept) noexcept;

// The head of a streamed answer of that form (not none): its type, and fields against storing and buffering by
// proxies.
response stream_head(stream_form form);

// Appends one event. An empty `id` or `name` is left out; neither may contain a line end. `data` may have any number
// of lines.
void append_event(std::string& into, std::string_view id, std::string_view name, std::string_view data);

// An empty comment to send from time to time, so that no proxy considers the stream dead.
inline constexpr std::string_view event_keep_alive = ":\n\n";

// The number in a Last-Event-ID field; nullopt when it is absent or not a number.
std::optional<std::uint64_t> last_event_id(std::string_view field) noexcept;

}  // namespace sandboxd::http
