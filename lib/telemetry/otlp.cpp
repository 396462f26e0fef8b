#include "telemetry/otlp.hpp"

#include "base/json_reader.hpp"
#include "base/utf8.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

namespace sandboxd::telemetry {

namespace {

constexpr std::chrono::milliseconds shortest_pause{1'000};
constexpr unsigned most_doublings = 20;

// https://github.com/open-telemetry/opentelemetry-proto: trace.proto, SpanFlags and StatusCode.
constexpr std::uint32_t flag_sampled = 0x1;
constexpr std::uint32_t flag_knows_whether_remote = 0x100;
constexpr std::uint32_t flag_is_remote = 0x200;
constexpr std::string_view status_error = R"("status":{"code":2})";

constexpr json_limits answer_limits{.max_depth = 8, .max_members = 1'000};

void append_number(std::string& into, std::int64_t value)
{
    std::array<char, 24> digits{};
    into.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr);
}

void append_quoted(std::string& into, std::string_view text)
{
    static constexpr char digits[] = "0123456789abcdef";
    into += '"';
    for (const char c : text) {
        const auto octet = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            into += '\\';
            into += c;
        } else if (octet < 0x20 || octet == 0x7f) {
            into += "\\u00";
            into += digits[octet >> 4];
            into += digits[octet & 0xf];
        } else {
            into += c;
        }
    }
    into += '"';
}

void append_member(std::string& into, std::string_view name, std::string_view value)
{
    into += ",\"";
    into += name;
    into += "\":";
    append_quoted(into, value);
}

// A 64-bit integer.
void append_member(std::string& into, std::string_view name, std::int64_t value)
{
    into += ",\"";
    into += name;
    into += "\":\"";
    append_number(into, value);
    into += '"';
}

bool read_answer(std::string_view body, partial_success& into, bool is_text)
{
    std::optional<std::int64_t> number;
    std::optional<std::string> digits;
    std::optional<std::string> message;
    json_members root;
    root.object("partialSuccess",
                [&](json_members& its) {
                    if (is_text)
                        its.text("rejectedSpans", digits);
                    else
                        its.number("rejectedSpans", number, std::numeric_limits<std::int64_t>::min(),
                                   std::numeric_limits<std::int64_t>::max());
                    its.text("errorMessage", message);
                })
        .or_null();
    if (read_json(body, root, answer_limits)) return false;
    if (digits) {
        std::int64_t value = 0;
        const auto [end, failed] = std::from_chars(digits->data(), digits->data() + digits->size(), value);
        if (failed != std::errc{} || end != digits->data() + digits->size()) return false;
        number = value;
    }
    into.rejected = static_cast<std::uint64_t>(std::max<std::int64_t>(number.value_or(0), 0));
    into.message = message.value_or(std::string{});
    return true;
}

}  // namespace

void attribute_list::begin(std::string_view key, std::string_view kind)
{
    if (!text_.empty()) text_ += ',';
    text_ += R"({"key":")";
    text_ += key;
    text_ += R"(","value":{")";
    text_ += kind;
    text_ += "\":";
}

void attribute_list::add(std::string_view key, std::string_view value)
{
    begin(key, "stringValue");
    const auto shown = utf8_prefix(value, longest_value);
    if (is_valid_utf8(shown))
        append_quoted(text_, shown);
    else
        append_quoted(text_, to_valid_utf8(shown));
    text_ += "}}";
}

void attribute_list::add(std::string_view key, std::int64_t value)
{
    begin(key, "intValue");
    text_ += '"';
    append_number(text_, value);
    text_ += "\"}}";
}

void attribute_list::add(std::string_view key, bool value)
{
    begin(key, "boolValue");
    text_ += value ? "true}}" : "false}}";
}

std::string write_span(const span_record& from)
{
    std::string made;
    made.reserve(320 + from.name.size() + from.attributes.size());
    made += R"({"traceId":")";
    made += text_of(from.trace);
    made += '"';
    append_member(made, "spanId", text_of(from.span));
    if (from.parent) append_member(made, "parentSpanId", text_of(*from.parent));
    const auto flags = flag_sampled | flag_knows_whether_remote | (from.is_parent_remote ? flag_is_remote : 0);
    made += R"(,"flags":)";
    append_number(made, flags);
    append_member(made, "name", from.name);
    made += R"(,"kind":)";
    append_number(made, static_cast<int>(from.kind));
    append_member(made, "startTimeUnixNano", from.began_ns);
    append_member(made, "endTimeUnixNano", std::max(from.began_ns, from.ended_ns));
    if (!from.attributes.empty()) {
        made += R"(,"attributes":[)";
        made += from.attributes;
        made += ']';
    }
    if (from.has_failed) {
        made += ',';
        made += status_error;
    }
    made += '}';
    return made;
}

envelope envelope_of(const sender& from)
{
    attribute_list of_service;
    of_service.add("service.name", std::string_view{from.service});
    of_service.add("service.version", std::string_view{from.version});
    of_service.add("service.instance.id", std::string_view{from.instance});
    envelope made;
    made.head = R"({"resourceSpans":[{"resource":{"attributes":[)" + of_service.text() +
                R"(]},"scopeSpans":[{"scope":{"name":"sandboxd","version":)";
    append_quoted(made.head, from.version);
    made.head += R"(},"spans":[)";
    made.tail = "]}]}]}";
    return made;
}

batch_fate fate_of(unsigned status) noexcept
{
    if (status >= 200 && status < 300) return batch_fate::taken;
    const bool passes = status == 429 || status == 502 || status == 503 || status == 504;
    return passes ? batch_fate::try_again : batch_fate::refused;
}

partial_success read_partial_success(std::string_view body)
{
    partial_success said;
    // As a decimal string, or a number: both are valid.
    for (const bool is_text : {true, false})
        if (read_answer(body, said, is_text)) return said;
    return {};
}

std::chrono::milliseconds pause_after(unsigned failures, std::chrono::milliseconds longest, double chance,
                                      std::optional<std::chrono::seconds> asked_for)
{
    if (asked_for) {
        // Any number of seconds may be asked for, and need not fit as milliseconds.
        if (*asked_for > std::chrono::duration_cast<std::chrono::seconds>(longest)) return longest;
        return std::max<std::chrono::milliseconds>(*asked_for, std::min(shortest_pause, longest));
    }
    const auto doubled = shortest_pause * (1u << std::min(failures > 0 ? failures - 1 : 0u, most_doublings));
    const auto whole = std::min<std::chrono::milliseconds>(doubled, longest);
    const auto half = static_cast<double>((whole / 2).count());
    return whole / 2 + std::chrono::milliseconds{static_cast<std::int64_t>(half * std::clamp(chance, 0.0, 1.0))};
}

}  // namespace sandboxd::telemetry
