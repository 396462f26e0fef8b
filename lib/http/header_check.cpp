#include "http/header_check.hpp"

#include "base/ascii.hpp"
#include "http/field_text.hpp"
#include "http/uri.hpp"

#include <boost/beast/http/verb.hpp>

#include <algorithm>
#include <string>

namespace sandboxd::http {

namespace {

// Takes one line off `rest`, without its CRLF. The caller ensures that there is one.
std::string_view take_line(std::string_view& rest)
{
    const auto end = rest.find('\n');
    auto line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
}

std::optional<error> check_version(std::string_view version)
{
    // "HTTP/" DIGIT "." DIGIT, case-sensitive: RFC 9112 2.3.
    if (version.size() != 8 || !version.starts_with("HTTP/") || !is_digit(version[5]) || version[6] != '.' ||
        !is_digit(version[7]))
        return invalid_request("the request line does not end in HTTP/1.1 or HTTP/1.0");
    if (version != "HTTP/1.1" && version != "HTTP/1.0") return make_error(errc::version_not_supported);
    return std::nullopt;
}

bool is_target_form(std::string_view method, std::string_view target)
{
    if (target.starts_with('/')) return true;
    if (target == "*") return method == "OPTIONS";
    return target.starts_with("http://") || target.starts_with("https://");
}

// The authority of an absolute-form target replaces the Host field (RFC 9112 3.2.2) and gets the same checks.
bool has_sound_authority(std::string_view target)
{
    const auto given = split_target(target).authority;
    if (!given) return true;
    const auto authority = read_authority(*given);
    return authority && !authority->host.empty();
}

std::optional<error> check_request_line(std::string_view line, const header_limits& limits)
{
    const auto first = line.find(' ');
    const auto last = line.rfind(' ');
    if (first == std::string_view::npos || first == last)
        return invalid_request("the request line is not 'METHOD target HTTP/1.1'");
    const auto method = line.substr(0, first);
    const auto target = line.substr(first + 1, last - first - 1);
    if (!is_token(method)) return invalid_request("the method is not a token");
    if (auto wrong = check_version(line.substr(last + 1))) return wrong;
    if (target.empty() || !std::all_of(target.begin(), target.end(), [](char c) {
            return static_cast<unsigned char>(c) > 0x20 && static_cast<unsigned char>(c) < 0x7f;
        }))
        return invalid_request("the request target holds a character that must be percent-encoded");
    if (boost::beast::http::string_to_verb({method.data(), method.size()}) == boost::beast::http::verb::unknown)
        return make_error(errc::method_not_implemented);
    if (!is_target_form(method, target)) return invalid_request("the request target must begin with '/'");
    if (target.size() > limits.target_bytes) return make_error(errc::target_too_long);
    if (!has_sound_authority(target))
        return invalid_request("the authority in the request target is not a host with an optional port");
    return std::nullopt;
}

// Beast keeps the lengths of a name and of a value, with two bytes between them, in 16 bits, and throws for more.
constexpr std::size_t most_bytes_of_one_field = 0xffff - 2;

// What the framing fields say so far.
struct framing_fields {
    unsigned hosts{0};
    unsigned content_lengths{0};
    unsigned transfer_encodings{0};
};

std::optional<error> check_field(std::string_view line, bool http_1_0, framing_fields& seen)
{
    if (line.front() == ' ' || line.front() == '\t') return invalid_request("a header field is folded over two lines");
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) return invalid_request("a header line has no colon");
    const auto field_name = line.substr(0, colon);
    if (!is_token(field_name)) return invalid_request("a header field's name is not a token directly before its colon");
    const auto value = trim(line.substr(colon + 1));
    // With the blanks around it: Beast measures before it trims.
    if (field_name.size() > most_bytes_of_one_field || line.size() - colon - 1 > most_bytes_of_one_field)
        return error{errc::header_too_large, "a header field has more than " + std::to_string(most_bytes_of_one_field) +
                                                 " bytes, whatever http.maxHeaderBytes says"};
    if (!is_field_value(value)) return invalid_request("a header field's value holds a control character");
    if (same_word(field_name, "host")) {
        if (++seen.hosts > 1) return invalid_request("there is more than one Host field");
        if (!read_authority(value)) return invalid_request("the Host field is not a host with an optional port");
    } else if (same_word(field_name, "content-length")) {
        if (++seen.content_lengths > 1) return invalid_request("there is more than one Content-Length field");
        if (value.empty() || value.size() > 18 || !std::all_of(value.begin(), value.end(), is_digit))
            return invalid_request("the Content-Length is not one decimal number");
    } else if (same_word(field_name, "transfer-encoding")) {
        if (++seen.transfer_encodings > 1) return invalid_request("there is more than one Transfer-Encoding field");
        if (http_1_0) return invalid_request("Transfer-Encoding does not exist in HTTP/1.0");
        if (!same_word(value, "chunked"))
            return invalid_request("this server supports only the transfer coding 'chunked'");
    }
    return std::nullopt;
}

}  // namespace

std::optional<error> check_header(std::string_view header, const header_limits& limits)
{
    if (header.find('\0') != std::string_view::npos) return invalid_request("the header holds a NUL");
    auto rest = header;
    const auto request_line = take_line(rest);
    if (auto wrong = check_request_line(request_line, limits)) return wrong;
    const bool http_1_0 = request_line.ends_with("HTTP/1.0");

    framing_fields seen;
    for (std::size_t fields = 0;; ++fields) {
        const auto line = take_line(rest);
        if (line.empty()) break;
        if (fields == limits.fields)
            return error{errc::header_too_large, "there are more than " + std::to_string(limits.fields) +
                                                     " header fields (http.maxHeaderFields)"};
        if (auto wrong = check_field(line, http_1_0, seen)) return wrong;
    }
    if (seen.hosts == 0 && !http_1_0) return invalid_request("HTTP/1.1 needs a Host field");
    if (seen.content_lengths > 0 && seen.transfer_encodings > 0)
        return invalid_request("Content-Length and Transfer-Encoding exclude each other");
    return std::nullopt;
}

result<std::size_t> find_header_end(std::string_view bytes, std::size_t& scanned)
{
    for (;;) {
        const auto next = bytes.find_first_of(std::string_view{"\r\n", 2}, scanned);
        if (next == std::string_view::npos) {
            scanned = bytes.size();
            return std::size_t{0};
        }
        if (bytes[next] == '\n') return invalid_request("a header line ends in LF without CR");
        if (next + 1 == bytes.size()) {
            scanned = next;
            return std::size_t{0};
        }
        if (bytes[next + 1] != '\n') return invalid_request("the header holds a CR that ends no line");
        if (next + 3 < bytes.size() && bytes[next + 2] == '\r' && bytes[next + 3] == '\n') return next + 4;
        if (next + 2 == bytes.size() || (bytes[next + 2] == '\r' && next + 3 == bytes.size())) {
            scanned = next;
            return std::size_t{0};
        }
        scanned = next + 2;
    }
}

}  // namespace sandboxd::http
