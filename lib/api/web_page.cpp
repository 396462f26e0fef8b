#include "api/web_page.hpp"

#include "base/ascii.hpp"
#include "http/field_text.hpp"
#include "http/uri.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <utility>

namespace sandboxd::api {

namespace {

bool is_among(std::string_view origin, const std::vector<std::string>& origins)
{
    return std::ranges::any_of(origins, [origin](const std::string& one) { return one == "*" || one == origin; });
}

// 127.0.0.0/8 as browsers write it, and the names that always mean this machine (RFC 6761 6.3).
bool is_loopback(std::string_view name)
{
    if (name == "localhost" || name.ends_with(".localhost") || name == "[::1]") return true;
    in_addr address{};
    return name.starts_with("127.") && ::inet_pton(AF_INET, std::string{name}.c_str(), &address) == 1;
}

bool matches(std::string_view pattern, std::string_view name)
{
    if (pattern == "*") return true;
    if (pattern.starts_with("*.")) return name.size() >= pattern.size() && name.ends_with(pattern.substr(1));
    return pattern == name;
}

}  // namespace

result<page_marks> marks_of(const http::exchange& x)
{
    page_marks marks{.method = x.method(), .host = x.host()};
    bool has_type = false;
    bool has_site = false;
    const auto twice = [](std::string_view name) {
        return invalid_request("the header field " + std::string{name} + " comes more than once; send it once");
    };
    for (const auto& one : x.fields()) {
        const std::string_view value{one.value().data(), one.value().size()};
        if (one.name() == http::field::content_type) {
            if (std::exchange(has_type, true)) return twice("Content-Type");
        } else if (one.name() == http::field::origin) {
            if (marks.origin) return twice("Origin");
            marks.origin = value;
        } else if (same_word({one.name_string().data(), one.name_string().size()}, "Sec-Fetch-Site")) {
            if (std::exchange(has_site, true)) return twice("Sec-Fetch-Site");
            marks.fetch_site = value;
        }
    }
    return marks;
}

result<void> admit_page(const page_marks& marks, const std::vector<std::string>& origins)
{
    // An unknown word may be a browser's for "elsewhere".
    const bool from_here = marks.fetch_site.empty() || marks.fetch_site == "none" || marks.fetch_site == "same-origin";
    if (marks.method == http::verb::get || marks.method == http::verb::head || marks.method == http::verb::options)
        return {};
    if (marks.origin) {
        if (is_among(*marks.origin, origins)) return {};
        // A proxy in front may use TLS, so only the host must match. Pages of other schemes (those of
        // extensions and apps) have no host of this server's.
        const auto end = marks.origin->find("://");
        const auto scheme = marks.origin->substr(0, end);
        const bool own = end != std::string_view::npos && !marks.host.empty() &&
                         (same_word(scheme, "http") || same_word(scheme, "https")) &&
                         same_word(marks.origin->substr(end + 3), marks.host);
        if (own && from_here) return {};
        return error{errc::forbidden, "pages of the origin '" + std::string{marks.origin->substr(0, 200)} +
                                          "' may not use this server; to allow it, add it to http.apiCorsOrigins"};
    }
    if (from_here) return {};
    return error{errc::forbidden,
                 "pages of other origins may not use this server; to allow one, add its origin to http.apiCorsOrigins"};
}

host_names::host_names(std::vector<std::string> allowed, bool loopback_only, std::string base_domain,
                       std::string_view public_url)
    : allowed_{std::move(allowed)}, loopback_only_{loopback_only}, base_domain_{std::move(base_domain)}
{
    if (const auto scheme = public_url.find("://"); scheme != std::string_view::npos) {
        const auto authority = public_url.substr(scheme + 3);
        if (const auto parts = http::read_authority(authority.substr(0, authority.find('/'))))
            public_host_ = in_lower_case(parts->host);
    }
    for (auto& one : allowed_) one = in_lower_case(one);
}

result<void> host_names::admit(std::string_view host) const
{
    if (host.empty() || (allowed_.empty() && !loopback_only_)) return {};
    const auto parts = http::read_authority(host);
    if (!parts) return invalid_request("the requested host is malformed");
    auto name = in_lower_case(parts->host);
    if (name.ends_with('.')) name.pop_back();  // absolute; the same name
    if (!public_host_.empty() && name == public_host_) return {};
    if (!base_domain_.empty() && (name == base_domain_ || matches("*." + base_domain_, name))) return {};
    const bool admitted = allowed_.empty()
                              ? is_loopback(name)
                              : std::ranges::any_of(allowed_, [&](const auto& one) { return matches(one, name); });
    if (admitted) return {};
    return error{errc::misdirected_request,
                 "this server is not '" + name.substr(0, 200) + "'; to allow this name, add it to http.allowedHosts"};
}

void allow_origin(http::exchange& x, const std::vector<std::string>& origins)
{
    if (origins.empty()) return;
    const auto expose = [&x] {
        x.add_field(
            "Access-Control-Expose-Headers",
            "Accept-Ranges, Content-Length, Content-Range, ETag, Idempotency-Replayed, Location, "
            "Mcp-Session-Id, Preference-Applied, RateLimit, RateLimit-Policy, Retry-After, Server-Timing, X-Request-Id");
    };
    if (std::ranges::find(origins, "*") != origins.end()) {
        x.add_field("Access-Control-Allow-Origin", "*");
        expose();
        return;
    }
    x.add_field("Vary", "Origin");
    const auto origin = x[http::field::origin];
    if (std::ranges::find(origins, origin) == origins.end()) return;
    x.add_field("Access-Control-Allow-Origin", std::string{origin});
    expose();
}

}  // namespace sandboxd::api
