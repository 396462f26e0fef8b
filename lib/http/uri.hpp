// The parts of a request target and of an authority, read the strict way: once, for every route and every host name.
#pragma once

#include <optional>
#include <string_view>

namespace sandboxd::http {

// RFC 9112 3.2. `authority` is that of an absolute-form target and has no value otherwise; `path` is "/" where an
// absolute-form target has none, and "*" for the asterisk-form; `query` comes without its '?'.
struct target_parts {
    std::optional<std::string_view> authority;
    std::string_view path;
    std::string_view query;
};
target_parts split_target(std::string_view target) noexcept;

// Whether a segment of the path is "." or "..", in any spelling that some server in the chain may read as one: '.', '/'
// and '\' as they are or percent-encoded, once or several times ("%2e", "%252e", "%25%32%65", "%5c"), or as overlong
// UTF-8 ("%c0%ae", "%e0%80%ae"); with parameters behind it ("..;x", RFC 3986 3.3) or cut off by a NUL or a '#'. "/...",
// "/a..b" and
// "/.well-known" have none. Linear in the path's length.
bool has_dot_segment(std::string_view path);

struct authority_parts {
    std::string_view host;  // without its port; an IPv6 address with its brackets; empty only where the text is
    std::string_view port;  // its digits; may be empty
};

// uri-host [ ":" port ], RFC 9110 4.2.3, of what occurs in the field: an IPv6 address in brackets, or a name of labels
// of letters, digits, '-', '_' and '~' (an IPv4 address is one), none of them empty, with one dot at its end at most; a
// port up to 65535. Nothing is decoded. Empty for everything else: a userinfo, "%2e", "a..b", "a:80:90", "[::1".
std::optional<authority_parts> read_authority(std::string_view text) noexcept;

}  // namespace sandboxd::http
