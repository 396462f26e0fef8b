// Requests that a web page has a browser make. A browser sends them for any page to any address it can reach, this
// machine's own included: forms, beacons and fetch() in the mode no-cors ask nobody first. But it always says whose
// they are: by Origin, by Sec-Fetch-Site, and by Host, which gives away a name that was bound anew to this address.
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

// What a browser tells about the page behind a request; programs tell nothing of it.
struct page_marks {
    http::verb method{};
    std::optional<std::string_view> origin{};  // no value: there is no such field
    std::string_view fetch_site{};             // Sec-Fetch-Site
    std::string_view host{};                   // with the port, as asked for
};
page_marks marks_of(const http::exchange& x);

// Whether a page may have this done: GET, HEAD and OPTIONS always, since they change nothing; else only a page of this
// server's own origin, or of one among `origins` ("*" is all). Error: forbidden, with the cure. Pure.
result<void> admit_page(const page_marks& marks, const std::vector<std::string>& origins);

// Which names a server may be asked for by.
class host_names {
public:
    // `allowed`: names and addresses without a port; "*.example.com" is every name beneath, "*" every name. Where it is
    // empty: loopback's own names and addresses alone when the server listens nowhere else, every name otherwise.
    // `base_domain`, when there is one, and all beneath it are allowed, too, and the host of `public_url`: whoever sets
    // these says by which names the server is known.
    host_names(std::vector<std::string> allowed, bool loopback_only, std::string base_domain,
               std::string_view public_url = {});

    // `host` as it was asked for; empty, as HTTP/1.0 has it, is no browser's. Error: misdirected_request, with the
    // cure.
    result<void> admit(std::string_view host) const;

private:
    std::vector<std::string> allowed_;
    bool loopback_only_;
    std::string base_domain_;
    std::string public_host_;
};

// Which origins' pages may read an answer. https://fetch.spec.whatwg.org/#http-cors-protocol
void allow_origin(http::exchange& x, const std::vector<std::string>& origins);

}  // namespace sandboxd::api
