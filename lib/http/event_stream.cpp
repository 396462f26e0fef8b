#include "http/event_stream.hpp"

#include "http/field_text.hpp"

#include <charconv>

namespace sandboxd::http {

namespace {

// Whether the parameters of a media range have a weight of 0.
bool is_refused(std::string_view parameters) noexcept
{
    while (!parameters.empty()) {
        const auto end = parameters.find(';');
        const auto one = trim(parameters.substr(0, end));
        parameters.remove_prefix(end == std::string_view::npos ? parameters.size() : end + 1);
        if (one.size() > 2 && (one[0] == 'q' || one[0] == 'Q') && one[1] == '=')
            return one.substr(2).find_first_not_of("0.") == std::string_view::npos;
    }
    return false;
}

// Takes the next type with a weight above 0 off an Accept field; empty: there is none.
std::string_view take_type(std::string_view& accept) noexcept
{
    while (!accept.empty()) {
        const auto end = accept.find(',');
        const auto one = accept.substr(0, end);
        accept.remove_prefix(end == std::string_view::npos ? accept.size() : end + 1);
        const auto semicolon = one.find(';');
        const auto type = trim(one.substr(0, semicolon));
        const bool refused = semicolon != std::string_view::npos && is_refused(one.substr(semicolon + 1));
        if (!refused && !type.empty()) return type;
    }
    return {};
}

}  // namespace

bool names_type(std::string_view accept, std::string_view type) noexcept
{
    for (auto one = take_type(accept); !one.empty(); one = take_type(accept))
        if (same_word(one, type)) return true;
    return false;
}

stream_form wanted_stream(std::string_view accept) noexcept
{
    for (auto type = take_type(accept); !type.empty(); type = take_type(accept)) {
        if (same_word(type, "text/event-stream")) return stream_form::events;
        if (same_word(type, "application/x-ndjson")) return stream_form::json_lines;
    }
    return stream_form::none;
}

response stream_head(stream_form form)
{
    response head;
    head.content_type = form == stream_form::events ? "text/event-stream" : "application/x-ndjson";
    head.fields.emplace_back("Cache-Control", "no-store");
    head.fields.emplace_back("X-Accel-Buffering", "no");  // tells nginx not to buffer it
    return head;
}

void append_event(std::string& into, std::string_view id, std::string_view name, std::string_view data)
{
    if (!id.empty()) into.append("id: ").append(id) += '\n';
    if (!name.empty()) into.append("event: ").append(name) += '\n';
    // CR, LF and CRLF all end a line.
    for (;;) {
        const auto end = data.find_first_of("\r\n");
        into.append("data: ").append(data.substr(0, end)) += '\n';
        if (end == std::string_view::npos) break;
        data.remove_prefix(end + (data.substr(end).starts_with("\r\n") ? 2 : 1));
    }
    into += '\n';
}

std::optional<std::uint64_t> last_event_id(std::string_view field) noexcept
{
    field = trim(field);
    std::uint64_t value = 0;
    const auto [end, ec] = std::from_chars(field.data(), field.data() + field.size(), value);
    if (field.empty() || ec != std::errc{} || end != field.data() + field.size()) return std::nullopt;
    return value;
}

}  // namespace sandboxd::http
