// Which fields pass and how they are rewritten: first what each field is, then a request's head, an answer's head, and
// the values that name a place (cookies, Location, Refresh); chunks last.
#include "proxy/relay.hpp"

#include "base/ascii.hpp"
#include "http/field_text.hpp"
#include "http/forwarded.hpp"
#include "http/head_text.hpp"
#include "http/uri.hpp"

#include <boost/beast/http/field.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

namespace sandboxd::proxy {

using boost::beast::http::field;
using http::append_field;
using http::is_field_value;
using http::next_element;
using http::trim;

namespace {

// Of a program's answer, beside the bytes of its head (proxy.maxHeaderBytes): no framework sends a third of so many.
constexpr std::size_t most_fields = 200;
// Extensions of chunks and trailers are read over, and never passed on: a client loses nothing by these bounds.
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
    // "Proxy" becomes HTTP_PROXY where fields become environment variables.
    if (first == 'p') return begins_loosely(text, "proxy-") || same_word(text, "Proxy");
    return first == 'h' && same_word(text, "HTTP2-Settings");
}

// What reads fields as environment variables, or folds their names, cannot tell '_' from '-': of a name with '_', the
// spelling with '-' decides.
bool stays_behind_however_spelled(field name, std::string_view text)
{
    if (text.find('_') == std::string_view::npos) return stays_behind(name, text);
    std::string spelled{text};
    std::ranges::replace(spelled, '_', '-');
    return stays_behind(boost::beast::http::string_to_field(spelled), spelled);
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
        // Under a host name of its own as well: "cookies" are those of the whole registrable domain.
        case 'c': return same_word(name, "Clear-Site-Data");
        case 's':
            return same_word(name, "Set-Cookie2") || same_word(name, "Set-Login") ||
                   same_word(name, "Surrogate-Control");
        case 'x':
            return begins(name, "X-Accel-") || begins(name, "X-Sendfile") || begins(name, "X-Lighttpd-") ||
                   begins(name, "X-Reproxy-") || same_word(name, "X-Request-Id") || same_word(name, moved_field);
        default: return false;
    }
}

bool is_for_the_origin(std::string_view name) noexcept
{
    switch (to_lower(name.front())) {
        case 'a': return same_word(name, "Accept-CH") || same_word(name, "Accept-CH-Lifetime");
        case 'c': return same_word(name, "Critical-CH");
        case 'e': return same_word(name, "Expect-CT");
        case 'n': return same_word(name, "NEL");
        case 'o': return same_word(name, "Origin-Agent-Cluster");
        case 'p': return begins(name, "Public-Key-Pins");
        case 'r': return same_word(name, "Report-To");
        case 's':
            return same_word(name, "Service-Worker-Allowed") || same_word(name, "Strict-Transport-Security") ||
                   same_word(name, "Shared-Storage-Write") || same_word(name, "Speculation-Rules") ||
                   begins(name, "Sec-Session-") || begins(name, "Secure-Session-");
        case 'u': return same_word(name, "Use-As-Dictionary");
        default: return false;
    }
}

// W3C Trace Context.
bool is_of_a_trace(std::string_view name) noexcept
{
    return to_lower(name.front()) == 't' && (same_word(name, "traceparent") || same_word(name, "tracestate"));
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

bool is_slash(char c) noexcept { return c == '/' || c == '\\'; }

std::size_t leading_slashes(std::string_view text) noexcept
{
    return std::min(text.find_first_not_of("/\\"), text.size());
}

// "http" of "http://host/"; empty where there is none.
std::string_view scheme_of(std::string_view url) noexcept
{
    const auto end = std::find_if_not(url.begin(), url.end(),
                                      [](char c) { return is_alphanumeric(c) || c == '+' || c == '-' || c == '.'; });
    if (end == url.begin() || end == url.end() || *end != ':' || !is_letter(url.front())) return {};
    return url.substr(0, static_cast<std::size_t>(end - url.begin()));
}

// Both of a text that begins with slashes, however many.
std::string_view authority_of(std::string_view text) noexcept
{
    text.remove_prefix(leading_slashes(text));
    return text.substr(0, text.find_first_of("/\\?#"));
}

std::string_view path_behind_authority(std::string_view text) noexcept
{
    text.remove_prefix(leading_slashes(text));
    text.remove_prefix(std::min(text.find_first_of("/\\?#"), text.size()));
    return text;
}

// A URL of another host, with exactly the two slashes that every client reads in the same way.
std::string canonical_authority(std::string_view url, std::size_t scheme)
{
    const auto behind = url.substr(scheme);
    std::string made{url.substr(0, scheme)};
    made += "//";
    made += behind.substr(leading_slashes(behind));
    const auto end = std::min(made.find_first_of("?#"), made.size());
    std::replace(made.begin(), made.begin() + static_cast<std::ptrdiff_t>(end), '\\', '/');
    return made;
}

// A host as a browser compares it: without userinfo, default port and trailing dot; decoded, in lower case; addresses
// and ports in their usual spelling. `certain` is false if IDNA would be needed.
std::string browser_host(std::string_view authority, bool& certain)
{
    if (const auto at = authority.rfind('@'); at != std::string_view::npos) authority.remove_prefix(at + 1);
    std::string host;
    for (std::size_t i = 0; i < authority.size(); ++i) {
        unsigned value = 0;
        if (authority[i] == '%' && i + 2 < authority.size() &&
            std::from_chars(authority.data() + i + 1, authority.data() + i + 3, value, 16).ptr ==
                authority.data() + i + 3) {
            host += to_lower(static_cast<char>(value));
            i += 2;
        } else {
            host += to_lower(authority[i]);
        }
    }
    certain = std::ranges::all_of(host, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
    std::string port;
    if (const auto colon = host.rfind(':'); colon != std::string::npos && !host.ends_with(']')) {
        port = host.substr(colon);
        host.erase(colon);
        // Ports are numbers: "018999" is 18999.
        port.erase(1, std::min(port.find_first_not_of('0', 1), port.size()) - 1);
        if (port == ":80" || port == ":443" || port == ":") port.clear();
    }
    if (host.ends_with('.')) host.pop_back();
    // inet_aton(3) accepts what browsers accept: "127.1", "0x7f.0.0.1", "2130706433".
    in_addr address{};
    std::array<char, INET_ADDRSTRLEN> text{};
    if (!host.empty() && is_digit(host.front()) && ::inet_aton(host.c_str(), &address) != 0 &&
        ::inet_ntop(AF_INET, &address, text.data(), text.size()))
        host = text.data();
    // IPv6 addresses have several spellings, too: "[0:0:0:0:0:0:0:1]" is "[::1]".
    in6_addr long_address{};
    std::array<char, INET6_ADDRSTRLEN> long_text{};
    if (host.starts_with('[') && host.ends_with(']') &&
        ::inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &long_address) == 1 &&
        ::inet_ntop(AF_INET6, &long_address, long_text.data(), long_text.size()))
        host = "[" + std::string{long_text.data()} + "]";
    return host + port;
}

// Whether the authority is this server, as seen by the client or the program. If uncertain, it counts as this server.
bool is_own(std::string_view authority, const relay_route& route)
{
    bool certain = true;
    const auto asked = browser_host(authority, certain);
    if (!certain || asked.empty()) return true;
    const auto is_asked = [&](std::string_view own) { return !own.empty() && asked == browser_host(own, certain); };
    return is_asked(route.host) || is_asked(route.forwarded_host) || std::ranges::any_of(route.own_hosts, is_asked);
}

// Of a segment that http::has_dot_segment() finds: whether it is more than one dot.
bool leads_up(std::string_view segment) noexcept { return segment != "." && !same_word(segment, "%2e"); }

// The program's path (with everything after it), without segments "." and "..", moved below the prefix.
std::string beneath(std::string_view path, const relay_route& route)
{
    const auto end = std::min(path.find_first_of("?#"), path.size());
    const auto tail = path.substr(end);
    path = path.substr(0, end);
    std::vector<std::string_view> segments;
    if (!path.empty() && is_slash(path.front())) path.remove_prefix(1);
    for (;;) {
        const auto slash = path.find_first_of("/\\");
        const auto segment = path.substr(0, slash);
        const bool last = slash == std::string_view::npos;
        if (!http::has_dot_segment(segment)) {
            segments.push_back(segment);
        } else {
            if (leads_up(segment) && !segments.empty()) segments.pop_back();
            if (last) segments.emplace_back();
        }
        if (last) break;
        path.remove_prefix(slash + 1);
    }
    std::string made;
    for (const auto one : segments) {
        made += '/';
        made += one;
    }
    made += tail;
    if (is_beneath(made, route.prefix)) return made;
    return std::string{route.prefix} + made;
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
    return into.status >= 100 && into.status <= 999 && is_field_value(into.reason);
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
        if (stays_behind_however_spelled(one.name(), name) ||
            (route.keeps_authorization && one.name() == field::authorization)) {
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
        if (!route.traceparent.empty() && is_of_a_trace(name)) continue;
        // If Connection names too many fields, only well-known fields are passed on.
        if (too_many && one.name() == field::unknown) continue;
        append_field(into, name, value);
    }
    const std::string client{http::last_hop(chain)};
    if (!route.peer.empty()) {
        if (!chain.empty()) chain += ", ";
        chain += route.peer;
    }
    if (!chain.empty()) {
        append_field(into, "X-Forwarded-For", chain);
        const auto real = client.empty() ? route.peer : std::string_view{client};
        if (!real.empty()) append_field(into, "X-Real-IP", real);
    }
    append_field(into, "X-Forwarded-Host", forwarded_host.empty() ? route.host : forwarded_host);
    append_field(into, "X-Forwarded-Proto", forwarded_proto.empty() ? std::string_view{"http"} : forwarded_proto);
    if (!route.prefix.empty()) append_field(into, "X-Forwarded-Prefix", route.prefix);
    append_field(into, "X-Request-Id", route.request_id);
    if (!route.sampled.empty()) append_field(into, "X-Forwarded-Sampled", route.sampled);
    // In lower case, as the specification has them.
    if (!route.traceparent.empty()) append_field(into, "traceparent", route.traceparent);
    if (!route.traceparent.empty() && !route.tracestate.empty()) append_field(into, "tracestate", route.tracestate);
    if (body.kind == body_kind::length) http::append_length(into, body.length);
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
        if (colon == std::string_view::npos || !http::is_token(line.substr(0, colon))) return refuse("a field's name");
        const auto name = line.substr(0, colon);
        const auto value = trim(line.substr(colon + 1));
        if (!is_field_value(value)) return refuse("a field's value holds a control character");
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
    // RFC 9112 6.3. The length of an unsent body does not concern the connection, only the client of a HEAD.
    if (http::has_no_body(into.status)) {
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
            case 'r':
                if (guest && same_word(name, "Refresh")) {
                    append_field(into, name, rewrite_refresh(value, route));
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
    // Without the slash the cookie also applies to the prefix itself.
    if (wanted != "/") made += wanted;
    return made;
}

std::string rewrite_location(std::string_view value, const relay_route& route)
{
    // As a browser reads it (WHATWG URL, "basic URL parser"): tabs are removed, and '\' is '/'.
    std::string cleaned{value};
    std::erase(cleaned, '\t');
    auto rest = trim(cleaned);
    if (const auto scheme = scheme_of(rest); !scheme.empty()) {
        if (!same_word(scheme, "http") && !same_word(scheme, "https")) return std::string{value};
        const auto behind = rest.substr(scheme.size() + 1);
        if (leading_slashes(behind) >= 2) {
            if (!is_own(authority_of(behind), route)) return canonical_authority(rest, scheme.size() + 1);
            return beneath(path_behind_authority(behind), route);
        }
        // "http:/x" and "http:x" are a path for pages with the same scheme, and a host for all others.
        rest = behind;
    } else if (leading_slashes(rest) >= 2) {
        if (!is_own(authority_of(rest), route)) return canonical_authority(rest, 0);
        return beneath(path_behind_authority(rest), route);
    } else {
        const bool is_this_page = rest.empty() || rest.front() == '?' || rest.front() == '#';
        const bool stays_where_it_is = leading_slashes(rest) == 0 && path_of(route.target) != "/" &&
                                       !http::has_dot_segment(path_of(rest)) &&
                                       path_of(rest).find('\\') == std::string_view::npos;
        if (is_this_page || stays_where_it_is) return std::string{rest};
    }
    if (leading_slashes(rest) > 0) return beneath(rest, route);
    const auto base = path_of(route.target);
    std::string joined{base.substr(0, base.rfind('/') + 1)};
    if (!joined.starts_with('/')) joined = "/";
    if (rest.starts_with('?') || rest.starts_with('#')) joined = base;
    joined += rest;
    return beneath(joined, route);
}

std::string rewrite_refresh(std::string_view value, const relay_route& route)
{
    constexpr std::string_view blank = " \t\n\f\r";
    const auto skip = [](std::string_view& text, std::string_view what) {
        text.remove_prefix(std::min(text.find_first_not_of(what), text.size()));
    };
    skip(value, blank);
    const auto time = value.substr(0, std::min(value.find_first_not_of("0123456789."), value.size()));
    auto url = value.substr(time.size());
    // Neither a time nor a valid text after one: a browser ignores it, and no other reader gets a URL.
    if (time.empty() || (!url.empty() && (blank.find(url.front()) == std::string_view::npos && url.front() != ';' &&
                                          url.front() != ',')))
        return std::string{time};
    skip(url, blank);
    if (!url.empty() && (url.front() == ';' || url.front() == ',')) url.remove_prefix(1);
    skip(url, blank);
    if (begins(url, "url")) {
        auto behind = url.substr(3);
        skip(behind, blank);
        if (behind.starts_with('=')) {
            behind.remove_prefix(1);
            skip(behind, blank);
            url = behind;
        }
    }
    if (!url.empty() && (url.front() == '"' || url.front() == '\'')) {
        const char quote = url.front();
        url.remove_prefix(1);
        url = url.substr(0, url.find(quote));
    }
    url = trim(url);
    if (url.empty()) return std::string{time};
    return std::string{time} + "; url=" + rewrite_location(url, route);
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

}  // namespace sandboxd::proxy
