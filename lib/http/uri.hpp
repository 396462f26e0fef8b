// Reads the parts of a request target and of an authority strictly, in one place for every route and host name.
#pragma once

#include <optional>
#include <string_view>

namespace sandboxd::http {

// RFC 9112 3.2. `authority` is set for an absolute-form target only. `path` is "/" if an absolute-form target has
// none, and "*" for the asterisk-form. `query` excludes its '?'.
struct target_parts {
    std::optional<std::string_view> authority;
    std::string_view path;
    std::string_view query;
};
target_parts split_target(std::string_view target) noexcept;

// Whether a segment of the path is "." or "..", in any spelling that some server in the chain may read as one: '.',
// '/' and '\' as they are or percent-encoded, once or several times ("%2e", "%252e", "%25%32%65", "%5c"), or as
// overlong UTF-8 ("%c0%ae", "%e0%80%ae"); with parameters after it ("..;x", RFC 3986 3.3) or cut off by a NUL or a
// '#', or with tabs and line breaks among its dots, which URL parsers drop (WHATWG URL 4.4). "/...", "/a..b" and
// "/.well-known" have none. Linear in the path's length.
bool has_dot_segment(std::string_view path);

struct authority_parts {
    std::string_view host;  // without its port; an IPv6 address with its brackets; empty only where the text is
    std::string_view port;  // its digits; may be empty
};

// Reads uri-host [ ":" port ], RFC 9110 4.2.3: an IPv6 address in brackets, or a name of non-empty labels of letters,
// digits, '-', '_' and '~' (which includes IPv4 addresses) with at most one dot at its end; a port up to 65535.
// Decodes nothing. Nullopt for anything else: a userinfo, "%2e", "a..b", "a:80:90", "[::1".
std::optional<authority_parts> read_authority(std::string_view text) noexcept;

// Whether a text of a client's may stand in a URL as its authority: what read_authority reads, and is not empty.
inline bool is_authority(std::string_view text) noexcept { return !text.empty() && read_authority(text).has_value(); }

}  // namespace sandboxd::http
