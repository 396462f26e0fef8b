#include "http/conditional.hpp"

#include "http/field_text.hpp"

#include <algorithm>
#include <limits>

namespace sandboxd::http {

namespace {

constexpr std::uint64_t largest = std::numeric_limits<std::uint64_t>::max();

bool is_etag_character(char c) noexcept
{
    const auto octet = static_cast<unsigned char>(c);
    return octet == 0x21 || (octet >= 0x23 && octet <= 0x7e) || octet >= 0x80;
}

struct entity_tag {
    bool weak{false};
    std::string_view opaque;  // with its quotes
};

// Takes an entity tag off the front (RFC 9110 8.8.3); commas are allowed between its quotes.
bool next_tag(std::string_view& text, entity_tag& tag) noexcept
{
    tag.weak = text.starts_with("W/");
    if (tag.weak) text.remove_prefix(2);
    if (!text.starts_with('"')) return false;
    std::size_t end = 1;
    while (end < text.size() && is_etag_character(text[end])) ++end;
    if (end == text.size() || text[end] != '"') return false;
    tag.opaque = text.substr(0, end + 1);
    text.remove_prefix(end + 1);
    return true;
}

enum class comparison { strong, weak };

// Whether a list of tags, or `*`, names `etag`. Everything after a malformed element is ignored.
bool names(std::string_view list, std::string_view etag, comparison how) noexcept
{
    if (trim(list) == "*") return true;
    for (;;) {
        while (!list.empty() && (list.front() == ',' || list.front() == ' ' || list.front() == '\t'))
            list.remove_prefix(1);
        entity_tag tag;
        if (list.empty() || !next_tag(list, tag)) return false;
        const auto rest = trim(list);
        if (!rest.empty() && rest.front() != ',') return false;
        if (tag.opaque == etag && (how == comparison::weak || !tag.weak)) return true;
    }
}

// Digits only, at least one. A number that does not fit becomes the largest one.
bool to_number(std::string_view digits, std::uint64_t& number) noexcept
{
    if (digits.empty()) return false;
    number = 0;
    for (const char c : digits) {
        if (c < '0' || c > '9') return false;
        const auto digit = static_cast<std::uint64_t>(c - '0');
        number = number > (largest - digit) / 10 ? largest : number * 10 + digit;
    }
    return true;
}

enum class range_kind { ignored, satisfiable, unsatisfiable };

struct byte_range {
    range_kind kind{range_kind::ignored};
    std::uint64_t first{};
    std::uint64_t length{};
};

byte_range parse_range(std::string_view field, std::uint64_t bytes) noexcept
{
    const auto equals = field.find('=');
    if (equals == std::string_view::npos || !same_word(field.substr(0, equals), "bytes")) return {};
    auto set = field.substr(equals + 1);
    std::string_view one;
    std::string_view another;
    if (!next_element(set, one) || next_element(set, another)) return {};
    const auto dash = one.find('-');
    if (dash == std::string_view::npos) return {};
    const auto before = one.substr(0, dash);
    const auto after = one.substr(dash + 1);

    std::uint64_t first = 0;
    std::uint64_t last = largest;
    if (before.empty()) {
        std::uint64_t suffix = 0;
        if (!to_number(after, suffix)) return {};
        if (suffix == 0) return {range_kind::unsatisfiable, 0, 0};
        // An empty resource: no Content-Range can express a range of it.
        if (bytes == 0) return {};
        const auto length = std::min(suffix, bytes);
        return {range_kind::satisfiable, bytes - length, length};
    }
    if (!to_number(before, first)) return {};
    if (!after.empty() && (!to_number(after, last) || last < first)) return {};
    if (first >= bytes) return {range_kind::unsatisfiable, 0, 0};
    last = std::min(last, bytes - 1);
    return {range_kind::satisfiable, first, last - first + 1};
}

// A weight (RFC 9110 12.4.2) in thousandths; -1 when it is malformed.
int to_weight(std::string_view text) noexcept
{
    if (text.empty() || (text[0] != '0' && text[0] != '1')) return -1;
    int weight = (text[0] - '0') * 1000;
    text.remove_prefix(1);
    if (text.empty()) return weight;
    if (text[0] != '.' || text.size() > 4) return -1;
    int place = 100;
    for (const char c : text.substr(1)) {
        if (c < '0' || c > '9') return -1;
        weight += (c - '0') * place;
        place /= 10;
    }
    return weight <= 1000 ? weight : -1;
}

}  // namespace

response_plan plan_response(const conditions& request, std::uint64_t bytes, std::string_view etag)
{
    response_plan plan;
    // The order is that of RFC 9110 13.2.2.
    if (request.if_match && !names(*request.if_match, etag, comparison::strong)) {
        plan.status = 412;
        return plan;
    }
    if (request.if_none_match && names(*request.if_none_match, etag, comparison::weak)) {
        plan.status = 304;
        return plan;
    }
    plan.length = bytes;
    // Ranges are defined for GET only (14.2).
    if (!request.range || request.head) return plan;
    if (request.if_range) {
        auto text = trim(*request.if_range);
        entity_tag tag;
        if (!next_tag(text, tag) || !text.empty() || tag.weak || tag.opaque != etag) return plan;
    }
    const auto range = parse_range(trim(*request.range), bytes);
    if (range.kind == range_kind::unsatisfiable) {
        plan.status = 416;
        plan.length = 0;
        plan.content_range = "bytes */" + std::to_string(bytes);
    } else if (range.kind == range_kind::satisfiable) {
        plan.status = 206;
        plan.offset = range.first;
        plan.length = range.length;
        plan.content_range = "bytes " + std::to_string(range.first) + "-" +
                             std::to_string(range.first + range.length - 1) + "/" + std::to_string(bytes);
    }
    return plan;
}

accepted_codings accept_encoding(std::string_view header) noexcept
{
    // In thousandths; -1: not named.
    int gzip = -1;
    int brotli = -1;
    int identity = -1;
    int others = -1;
    std::string_view element;
    while (next_element(header, element)) {
        const auto semicolon = element.find(';');
        const auto coding = trim(element.substr(0, semicolon));
        int weight = 1000;
        if (semicolon != std::string_view::npos) {
            const auto parameter = trim(element.substr(semicolon + 1));
            const bool is_weight =
                parameter.size() > 2 && (parameter[0] == 'q' || parameter[0] == 'Q') && parameter[1] == '=';
            weight = std::max(0, is_weight ? to_weight(parameter.substr(2)) : -1);
        }
        // If a coding is named twice, the lower weight counts: refused once means refused.
        const auto take = [weight](int& named) { named = named < 0 ? weight : std::min(named, weight); };
        if (same_word(coding, "gzip") || same_word(coding, "x-gzip")) {
            take(gzip);
        } else if (same_word(coding, "br")) {
            take(brotli);
        } else if (same_word(coding, "identity")) {
            take(identity);
        } else if (coding == "*") {
            take(others);
        }
    }
    if (gzip < 0) gzip = others;
    if (brotli < 0) brotli = others;
    const int least = std::max(identity, 1);
    return {gzip >= least && gzip >= brotli, brotli >= least && brotli >= gzip};
}

}  // namespace sandboxd::http
