#include "http/relay.hpp"

#include "base/ascii.hpp"
#include "http/field_text.hpp"
#include "http/head_text.hpp"

#include <boost/beast/http/field.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

namespace sandboxd::http {

using boost::beast::http::field;

namespace {

constexpr std::size_t most_fields = 200;
constexpr std::size_t longest_extension = 256;
constexpr std::size_t longest_trailers = 8 * 1024;
// Scripts, forms and downloads work; storage, cookies and requests in the name of this origin do not.
constexpr std::string_view page_sandbox =
    "sandbox allow-scripts allow-forms allow-popups allow-modals allow-downloads allow-pointer-lock";

error refuse(std::string_view what)
{
    return {errc::upstream_failed, "the program's answer is not HTTP: " + std::string{what}};
}

bool begins(std::string_view text, std::string_view with) noexcept
{
    return text.size() >= with.size() && same_word(text.substr(0, with.size()), with);
}

// As `begins`, with '_' for '-': what reads fields as environment variables cannot tell them apart.
bool begins_loosely(std::string_view text, std::string_view with) noexcept
{
    return text.size() >= with.size() && std::equal(with.begin(), with.end(), text.begin(),
                                                    [](char w, char t) { return w == (t == '_' ? '-' : to_lower(t)); });
}

bool lists(std::string_view list, std::string_view wanted) noexcept
{
    for (std::string_view one; next_element(list, one);)
        if (same_word(one, wanted)) return true;
    return false;
}

bool is_value(std::string_view text) noexcept
{
    return std::all_of(text.begin(), text.end(), [](char c) {
        const auto octet = static_cast<unsigned char>(c);
        return (octet >= 0x20 && octet != 0x7f) || c == '\t';
    });
}

std::string_view view(boost::beast::string_view from) noexcept { return {from.data(), from.size()}; }

// What a proxy sets itself; in lower case.
bool is_forwarded(std::string_view name) noexcept
{
    return begins_loosely(name, "x-forwarded-") ||
           (name.size() == 9 && (begins_loosely(name, "forwarded") || begins_loosely(name, "x-real-ip")));
}

// Of the request; beyond those that Connection names.
bool stays_behind(field name, std::string_view text) noexcept
{
    switch (name) {
        case field::connection:
        case field::keep_alive:
        case field::proxy_connection:
        case field::proxy_authenticate:
        case field::proxy_authorization:
        case field::te:
        case field::trailer:
        case field::transfer_encoding:
        case field::content_length:
        case field::upgrade:
        case field::expect:
        case field::host: return true;
        default: break;
    }
    const char first = to_lower(text.front());
    if (first == 'x')
        return is_forwarded(text) || begins_loosely(text, "x-request-id") || begins_loosely(text, "x-accel-") ||
               begins_loosely(text, "x-sendfile");
    if (first == 'f') return is_forwarded(text);
    if (first == 'p') return begins(text, "Proxy-");
    return first == 'h' && same_word(text, "HTTP2-Settings");
}

bool is_hop_by_hop(std::string_view name) noexcept
{
    switch (to_lower(name.front())) {
        case 'c': return same_word(name, "Connection") || same_word(name, "Content-Length");
        case 'k': return same_word(name, "Keep-Alive");
        case 'p': return begins(name, "Proxy-");
        case 't': return same_word(name, "Transfer-Encoding") || same_word(name, "Trailer") || same_word(name, "TE");
        case 'u': return same_word(name, "Upgrade");
        default: return false;
    }
}

// Of the answer: what speaks for the server or to a proxy in front of it.
bool is_for_the_server(std::string_view name) noexcept
{
    switch (to_lower(name.front())) {
        case 'a': return same_word(name, "Alt-Svc");
        case 's': return same_word(name, "Set-Cookie2");
        case 'x':
            return begins(name, "X-Accel-") || begins(name, "X-Sendfile") || begins(name, "X-Lighttpd-") ||
                   begins(name, "X-Reproxy-") || same_word(name, "X-Request-Id");
        default: return false;
    }
}

bool is_for_the_origin(std::string_view name) noexcept
{
    switch (to_lower(name.front())) {
        case 'a': return same_word(name, "Accept-CH");
        case 'c': return same_word(name, "Clear-Site-Data") || same_word(name, "Critical-CH");
        case 'n': return same_word(name, "NEL");
        case 'o': return same_word(name, "Origin-Agent-Cluster");
        case 'r': return same_word(name, "Report-To");
        case 's': return same_word(name, "Service-Worker-Allowed") || same_word(name, "Strict-Transport-Security");
        default: return false;
    }
}

std::string_view path_of(std::string_view target) noexcept { return target.substr(0, target.find_first_of("?#")); }

// RFC 6265 5.1.4: where a cookie without a Path belongs.
std::string_view default_path(std::string_view path) noexcept
{
    const auto slash = path.rfind('/');
    return slash == std::string_view::npos || slash == 0 ? std::string_view{"/"} : path.substr(0, slash);
}

bool is_beneath(std::string_view path, std::string_view prefix) noexcept
{
    return path.starts_with(prefix) && (path.size() == prefix.size() ||
                                        std::string_view{"/?#"}.find(path[prefix.size()]) != std::string_view::npos);
}

// Of a status line, "HTTP/1.1 200 OK"; false where it is none.
bool read_status_line(std::string_view line, answer_head& into, bool& http_1_0) noexcept
{
    const auto digit = [line](std::size_t at) { return line[at] >= '0' && line[at] <= '9'; };
    if (line.size() < 12 || !(line.starts_with("HTTP/1.1 ") || line.starts_with("HTTP/1.0 "))) return false;
    if (!digit(9) || !digit(10) || !digit(11) || (line.size() > 12 && line[12] != ' ')) return false;
    http_1_0 = line[7] == '0';
    into.status = static_cast<unsigned>((line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0'));
    into.reason = line.size() > 13 ? line.substr(13) : std::string_view{};
    return into.status >= 100 && into.status <= 999 && is_value(into.reason);
}

std::optional<std::chrono::seconds> timeout_of(std::string_view keep_alive) noexcept
{
    for (std::string_view one; next_element(keep_alive, one);) {
        if (!begins(one, "timeout=")) continue;
        std::int64_t seconds = 0;
        const auto text = one.substr(8);
        const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), seconds);
        if (ec == std::errc{} && end == text.data() + text.size() && seconds >= 0 && seconds < 1'000'000)
            return std::chrono::seconds{seconds};
    }
    return std::nullopt;
}

}  // namespace

std::string_view upgrade_of(const boost::beast::http::fields& fields)
{
    const auto asked = trim(view(fields[field::upgrade]));
    if (asked.empty() || fields.count(field::upgrade) > 1) return {};
    if (!lists(view(fields[field::connection]), "upgrade") || lists(asked, "h2c")) return {};
    return asked;
}

void write_request_head(std::string& into, std::string_view method, const boost::beast::http::fields& fields,
                        const relay_route& route, const body_shape& body, std::string_view upgrade)
{
    into += method;
    into += ' ';
    into += route.target;
    into += " HTTP/1.1\r\n";
    append_field(into, "Host", route.host.empty() ? std::string_view{"localhost"} : route.host);
    std::array<std::string_view, 8> named;
    std::size_t names = 0;
    bool too_many = false;
    std::string_view forwarded_for;
    std::string_view forwarded_host;
    std::string_view forwarded_proto;
    for (const auto& one : fields) {
        if (one.name() != field::connection) continue;
        auto list = view(one.value());
        for (std::string_view name; next_element(list, name);) {
            if (same_word(name, "close") || same_word(name, "keep-alive") || same_word(name, "upgrade")) continue;
            if (names == named.size()) {
                too_many = true;
                break;
            }
            named[names++] = name;
        }
    }
    std::string chain;
    for (const auto& one : fields) {
        const auto name = view(one.name_string());
        const auto value = view(one.value());
        if (stays_behind(one.name(), name)) {
            if (!route.trusted) continue;
            if (same_word(name, "X-Forwarded-For")) {
                if (!chain.empty()) chain += ", ";
                chain += value;
            } else if (same_word(name, "X-Forwarded-Host")) {
                forwarded_host = value;
            } else if (same_word(name, "X-Forwarded-Proto")) {
                forwarded_proto = value;
            }
            continue;
        }
        const auto end = named.begin() + static_cast<std::ptrdiff_t>(names);
        if (std::any_of(named.begin(), end, [name](std::string_view given) { return same_word(given, name); }))
            continue;
        // Who names more than that of its fields gets none of them through but the plainest.
        if (too_many && one.name() == field::unknown) continue;
        append_field(into, name, value);
    }
    if (!route.peer.empty()) {
        if (!chain.empty()) chain += ", ";
        chain += route.peer;
    }
    forwarded_for = chain;
    if (!forwarded_for.empty()) {
        append_field(into, "X-Forwarded-For", forwarded_for);
        append_field(into, "X-Real-IP", trim(forwarded_for.substr(0, forwarded_for.find(','))));
    }
    append_field(into, "X-Forwarded-Host", forwarded_host.empty() ? route.host : forwarded_host);
    append_field(into, "X-Forwarded-Proto", forwarded_proto.empty() ? std::string_view{"http"} : forwarded_proto);
    if (!route.prefix.empty()) append_field(into, "X-Forwarded-Prefix", route.prefix);
    append_field(into, "X-Request-Id", route.request_id);
    if (body.kind == body_kind::length) append_length(into, body.length);
    if (body.kind == body_kind::chunked) into += "Transfer-Encoding: chunked\r\n";
    if (!upgrade.empty()) {
        into += "Connection: Upgrade\r\n";
        append_field(into, "Upgrade", upgrade);
    }
    into += "\r\n";
}

result<void> read_answer_head(std::string_view bytes, bool to_head, answer_head& into)
{
    into.fields.clear();
    into.fields.reserve(16);
    into.body = {};
    into.upgrade = {};
    into.keep_alive_for.reset();
    const auto take_line = [&bytes] {
        const auto end = bytes.find("\r\n");
        const auto line = bytes.substr(0, end);
        bytes.remove_prefix(end == std::string_view::npos ? bytes.size() : end + 2);
        return line;
    };
    bool http_1_0 = false;
    if (!read_status_line(take_line(), into, http_1_0)) return refuse("the status line");
    into.keep_alive = !http_1_0;
    bool chunked = false;
    bool has_length = false;
    for (;;) {
        const auto line = take_line();
        if (line.empty()) break;
        if (into.fields.size() == most_fields) return refuse("there are too many fields");
        const auto colon = line.find(':');
        if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) return refuse("a field's name");
        const auto name = line.substr(0, colon);
        const auto value = trim(line.substr(colon + 1));
        if (!is_value(value)) return refuse("a field's value holds a control character");
        into.fields.emplace_back(name, value);
        switch (to_lower(name.front())) {
            case 'c':
                if (same_word(name, "Content-Length")) {
                    if (has_length) return refuse("there is more than one Content-Length");
                    has_length = true;
                    const auto [end, ec] = std::from_chars(value.data(), value.data() + value.size(), into.body.length);
                    if (ec != std::errc{} || end != value.data() + value.size() || value.size() > 18)
                        return refuse("the Content-Length is no number");
                } else if (same_word(name, "Connection") && lists(value, "close")) {
                    into.keep_alive = false;
                }
                break;
            case 'k':
                if (same_word(name, "Keep-Alive")) into.keep_alive_for = timeout_of(value);
                break;
            case 't':
                if (same_word(name, "Transfer-Encoding")) {
                    if (chunked || http_1_0 || !same_word(value, "chunked")) return refuse("the Transfer-Encoding");
                    chunked = true;
                }
                break;
            case 'u':
                if (same_word(name, "Upgrade")) into.upgrade = value;
                break;
            default: break;
        }
    }
    if (chunked && has_length) return refuse("it has both a Content-Length and a Transfer-Encoding");
    // RFC 9112 6.3. The length of what is not sent says nothing about the connection, only to the client of a HEAD.
    if (has_no_body(into.status)) {
        into.body = {};
    } else if (to_head) {
        into.body.kind = has_length ? body_kind::length : body_kind::none;
    } else if (chunked) {
        into.body.kind = body_kind::chunked;
    } else if (has_length) {
        into.body.kind = body_kind::length;
    } else {
        into.body.kind = body_kind::until_close;
        into.keep_alive = false;
    }
    return {};
}

bool write_answer_fields(std::string& into, const answer_head& head, const relay_route& route)
{
    bool has_date = false;
    const bool guest = !route.prefix.empty();
    std::vector<std::string_view> named;
    for (const auto& [name, value] : head.fields) {
        if (!same_word(name, "Connection")) continue;
        auto list = value;
        for (std::string_view one; next_element(list, one);)
            if (!same_word(one, "close") && !same_word(one, "keep-alive")) named.push_back(one);
    }
    for (const auto& [name, value] : head.fields) {
        if (is_hop_by_hop(name) || is_for_the_server(name) || (guest && is_for_the_origin(name))) continue;
        if (!named.empty() &&
            std::ranges::any_of(named, [&name](std::string_view one) { return same_word(one, name); }))
            continue;
        switch (to_lower(name.front())) {
            case 'd':
                if (same_word(name, "Date")) {
                    if (has_date) continue;
                    has_date = true;
                }
                break;
            case 's':
                if (same_word(name, "Set-Cookie")) {
                    append_field(into, name, rewrite_cookie(value, route.prefix, path_of(route.target)));
                    continue;
                }
                break;
            case 'l':
            case 'c':
                if (guest && (same_word(name, "Location") || same_word(name, "Content-Location"))) {
                    append_field(into, name, rewrite_location(value, route));
                    continue;
                }
                break;
            default: break;
        }
        append_field(into, name, value);
    }
    if (guest && route.sandbox_pages && head.status >= 200) append_field(into, "Content-Security-Policy", page_sandbox);
    return has_date;
}

std::string rewrite_cookie(std::string_view value, std::string_view prefix, std::string_view path)
{
    std::string made;
    std::string_view wanted;
    bool first = true;
    while (!value.empty()) {
        const auto end = value.find(';');
        const auto part = trim(value.substr(0, end));
        value.remove_prefix(end == std::string_view::npos ? value.size() : end + 1);
        if (first) {
            made += part;
            first = false;
            continue;
        }
        const auto equals = part.find('=');
        const auto name = trim(part.substr(0, equals));
        if (same_word(name, "Domain")) continue;
        if (!prefix.empty() && same_word(name, "Path")) {
            wanted = equals == std::string_view::npos ? std::string_view{} : trim(part.substr(equals + 1));
            continue;
        }
        made += "; ";
        made += part;
    }
    if (prefix.empty()) return made;
    if (!wanted.starts_with('/')) wanted = default_path(path);
    made += "; Path=";
    if (!is_beneath(wanted, prefix)) made += prefix;
    // Without the slash it holds for the prefix itself as well.
    if (wanted != "/") made += wanted;
    return made;
}

std::string rewrite_location(std::string_view value, const relay_route& route)
{
    auto path = value;
    const auto scheme = begins(value, "http://") ? 7u : begins(value, "https://") ? 8u : 0u;
    if (scheme > 0) {
        const auto rest = value.substr(scheme);
        const auto authority = rest.substr(0, rest.find_first_of("/?#"));
        const bool own = same_word(authority, route.host) || same_word(authority, "localhost:3000") ||
                         same_word(authority, "127.0.0.1:3000");
        if (!own) return std::string{value};
        path = rest.substr(authority.size());
        if (!path.starts_with('/')) return std::string{route.prefix} + "/" + std::string{path};
    }
    // "//host" and "/\host" lead elsewhere.
    const bool absolute = path.starts_with('/') && !path.starts_with("//") && !path.starts_with("/\\");
    if (!absolute && scheme == 0) return std::string{value};
    if (is_beneath(path, route.prefix)) return std::string{path};
    return std::string{route.prefix} + std::string{path};
}

result<chunk_decoder::step> chunk_decoder::decode(std::span<char> bytes)
{
    const auto broken = [](const char* what) { return refuse(std::string{"a chunk "} + what); };
    std::size_t data = 0;
    std::size_t at = 0;
    while (at < bytes.size() && state_ != state::done) {
        const char c = bytes[at];
        switch (state_) {
            case state::size_first:
            case state::size: {
                const char l = to_lower(c);
                const int digit = l >= '0' && l <= '9' ? l - '0' : l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
                if (digit >= 0) {
                    if (left_ >> 56) return broken("is too large");
                    left_ = left_ * 16 + static_cast<unsigned>(digit);
                    state_ = state::size;
                } else if (state_ == state::size_first) {
                    return broken("has no size");
                } else if (c == '\r') {
                    state_ = state::size_lf;
                } else if (c == ';' || c == ' ' || c == '\t') {
                    line_ = 0;
                    state_ = state::extension;
                } else {
                    return broken("has a size that is no number");
                }
                ++at;
                break;
            }
            case state::extension:
                if (++line_ > longest_extension) return broken("has too long an extension");
                if (c == '\n') return broken("has a line that ends in LF");
                if (c == '\r') state_ = state::size_lf;
                ++at;
                break;
            case state::size_lf:
                if (c != '\n') return broken("has a size without a line's end");
                state_ = left_ > 0 ? state::data : state::trailer_first;
                line_ = 0;
                ++at;
                break;
            case state::data: {
                const auto piece = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size() - at));
                if (data != at) std::memmove(bytes.data() + data, bytes.data() + at, piece);
                data += piece;
                at += piece;
                left_ -= piece;
                if (left_ == 0) state_ = state::data_cr;
                break;
            }
            case state::data_cr:
                if (c != '\r') return broken("is longer than its size");
                state_ = state::data_lf;
                ++at;
                break;
            case state::data_lf:
                if (c != '\n') return broken("is longer than its size");
                state_ = state::size_first;
                ++at;
                break;
            case state::trailer_first:
                if (c == '\n') return broken("has a trailer that ends in LF");
                state_ = c == '\r' ? state::end_lf : state::trailer;
                ++at;
                break;
            case state::trailer:
                if (++line_ > longest_trailers) return broken("has too long trailers");
                if (c == '\n') return broken("has a trailer that ends in LF");
                if (c == '\r') state_ = state::trailer_lf;
                ++at;
                break;
            case state::trailer_lf:
                if (c != '\n') return broken("has a trailer without a line's end");
                state_ = state::trailer_first;
                ++at;
                break;
            case state::end_lf:
                if (c != '\n') return broken("has no end");
                state_ = state::done;
                ++at;
                break;
            case state::done: break;
        }
    }
    return step{data, at};
}

}  // namespace sandboxd::http
