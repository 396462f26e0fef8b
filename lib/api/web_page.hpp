// Requests that a browser makes for a web page. Any page can make it send them to any address that it can reach,
// including this machine: forms, beacons and fetch() in the mode no-cors need no permission. But the browser always
// names the page: by Origin, by Sec-Fetch-Site, and by Host, which reveals DNS rebinding.
//
// https://fetch.spec.whatwg.org/#origin-header, https://www.w3.org/TR/fetch-metadata/
#pragma once

#include "base/errc.hpp"
#include "http/exchange.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::api {

// What a browser says about the page that made a request; other programs send none of it.
struct page_marks {
    http::verb method{};
    std::optional<std::string_view> origin{};  // nullopt: there is no such field
    std::string_view fetch_site{};             // Sec-Fetch-Site
    std::string_view host{};                   // with the port, as requested
};
// Of fields that decide what a request may do each comes once: two readers may differ in which of two counts. Error:
// invalid_request, for a second Origin, Sec-Fetch-Site or Content-Type.
result<page_marks> marks_of(const http::exchange& x);

// Whether a page may make this request. GET, HEAD and OPTIONS are always allowed, because they change nothing; others
// only from this server's own origin or one of `origins` ("*" is all). Error: forbidden, with the cure. Pure.
result<void> admit_page(const page_marks& marks, const std::vector<std::string>& origins);

// The host names that the server answers to.
class host_names {
public:
    // `allowed`: names and addresses without a port; "*.example.com" is every name below it, "*" every name. If it is
    // empty, a server that listens only on loopback answers to loopback's names and addresses, any other server to
    // every name. `base_domain`, if set, all names below it, and the host of `public_url` are allowed, too, because
    // they are names of the server.
    host_names(std::vector<std::string> allowed, bool loopback_only, std::string base_domain,
               std::string_view public_url = {});

    // `host`: as requested. An empty one (HTTP/1.0) is allowed, because browsers always send it. Error:
    // misdirected_request, with the cure.
    result<void> admit(std::string_view host) const;

private:
    std::vector<std::string> allowed_;
    bool loopback_only_;
    std::string base_domain_;
    std::string public_host_;
};

// Allows pages of these origins to read an answer. https://fetch.spec.whatwg.org/#http-cors-protocol
void allow_origin(http::exchange& x, const std::vector<std::string>& origins);

}  // namespace sandboxd::api
