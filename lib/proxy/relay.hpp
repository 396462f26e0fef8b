// Rewrites requests and answers that are passed on: which fields are dropped, added and changed. Pure functions and
// small state machines without sockets, after RFC 9110 7.6 and RFC 9112.
//
// Framing is never passed on: each side of the proxy frames its messages anew, so the two ends cannot read them
// differently. A program's answer is as untrusted as a client's request: a head that is not valid HTTP/1 is refused
// as a whole.
#pragma once

#include "base/errc.hpp"

#include <boost/beast/http/fields.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd::proxy {

enum class body_kind { none, length, chunked, until_close };

// Where a server of the fleet says to another one, with 421, that no program has had its request, as the deployment has
// moved: no answer of a program has this field when it is passed on. RFC 9110 15.5.20: such a request may be sent
// again.
constexpr const char* moved_field = "X-Deployment-Moved";

struct body_shape {
    body_kind kind{body_kind::none};
    std::uint64_t length{0};
};

// The route of one request.
struct relay_route {
    std::string_view prefix;            // of the path, where the program is: "/a/b"; empty: a host name of its own
    std::string_view target;            // origin-form, as the program sees it: "/new?x=1"
    std::string_view host;              // the host that the client asked for
    std::string_view peer;              // the client's address; empty: it came over a Unix socket
    std::string_view forwarded_host{};  // the host that a trusted proxy was asked for, if it says so
    // What the program calls itself, "localhost:8080": a redirect that leads there stays here. Must outlive the route.
    std::span<const std::string_view> own_hosts{};
    bool trusted{false};              // the peer is a proxy whose X-Forwarded-* are trusted and extended
    bool keeps_authorization{false};  // Authorization has a key of this server, and is not passed on
    bool sandbox_pages{false};        // pages get an opaque origin of their own; see write_answer_fields
    std::string_view request_id;
    // Instead of the request's own `traceparent` and `tracestate`; empty: those are passed on as they are. Without a
    // tracestate there is none.
    std::string_view traceparent{};
    std::string_view tracestate{};
    // For another server of the fleet alone: whether this one records the request, as X-Forwarded-Sampled; empty: it
    // does not say.
    std::string_view sampled{};
    // It goes to another server of the fleet, which may answer that the deployment has moved.
    bool may_have_moved{false};
};

// The protocols that a request asks to upgrade to. Empty if there is none, or for h2c, which is not passed on because
// its client could send anything in the proxy's name.
std::string_view upgrade_of(const boost::beast::http::fields& fields);

// Appends the head of the request for the program. Dropped: Connection and the fields that it names, Keep-Alive, TE,
// Trailer, Transfer-Encoding, Content-Length, Upgrade, Expect, Proxy, Proxy-*, Forwarded, X-Forwarded-*, X-Real-IP
// (and their spellings with '_'), Authorization where the route says so, and `traceparent` and `tracestate` where the
// route has others. Set: Host, X-Forwarded-For, -Host, -Proto,
// -Prefix, -Sampled, X-Real-IP, X-Request-Id, the framing, and Connection and Upgrade unless `upgrade` is empty. For a
// trusted peer X-Forwarded-For is extended, -Host and -Proto are kept, and X-Real-IP is the last hop that the peer
// names: the addresses before it are its client's claims.
void write_request_head(std::string& into, std::string_view method, const boost::beast::http::fields& fields,
                        const relay_route& route, const body_shape& body, std::string_view upgrade);

// The head of an answer, as views of the bytes that were read.
struct answer_head {
    unsigned status{0};
    std::string_view reason;
    std::vector<std::pair<std::string_view, std::string_view>> fields;
    body_shape body;
    bool keep_alive{false};
    std::string_view upgrade;
    // How long the program keeps an idle connection, from its Keep-Alive field.
    std::optional<std::chrono::seconds> keep_alive_for;
};

// Reads one head, including its empty line, into `into`. `to_head`: the request was a HEAD. Error: upstream_failed,
// with the reason.
result<void> read_answer_head(std::string_view bytes, bool to_head, answer_head& into);

// Appends the fields of an answer for the client; returns whether there was a Date. Dropped, because they belong to
// the connection or the server: Connection and the fields that it names, Keep-Alive, Transfer-Encoding,
// Content-Length, Trailer, Upgrade, Proxy-*, Alt-Svc, Set-Login, X-Request-Id, X-Deployment-Moved; fields that make a
// proxy in front fetch or keep something (X-Accel-*, X-Sendfile and the like, Surrogate-Control); and
// Clear-Site-Data, which affects other deployments' cookies. For the same reason the Domain of a cookie is always
// removed.
//
// Below a prefix, the program is a guest in the origin of this server. So cookies get the prefix before their Path,
// as do Location, Content-Location and Refresh within the origin. Fields that affect the whole origin are dropped
// (Service-Worker-Allowed, Strict-Transport-Security, Public-Key-Pins, Expect-CT, NEL, Report-To, Accept-CH,
// Critical-CH, Origin-Agent-Cluster, Use-As-Dictionary, Shared-Storage-Write, Speculation-Rules, Sec-Session-*,
// Secure-Session-*); and with `sandbox_pages` a Content-Security-Policy puts its pages into an opaque origin.
// Access-Control-* are kept: a browser stores them only for the URL.
bool write_answer_fields(std::string& into, const answer_head& head, const relay_route& route);

// The value of a Set-Cookie field below a prefix (empty: the deployment has its own host name). `path`: the request's
// path as the program saw it.
std::string rewrite_cookie(std::string_view value, std::string_view prefix, std::string_view path);

// The value of a Location field below a prefix, read as a browser reads it (WHATWG URL). A URL of this origin moves
// below the prefix, without segments "." and "..". A URL of another host is passed on, with exactly two slashes
// before the host. A URL that clients read differently ("http:/x", a host that needs IDNA) counts as this origin's.
std::string rewrite_location(std::string_view value, const relay_route& route);
// The same for the URL in a Refresh field, read as browsers read it (HTML, "shared declarative refresh steps": blanks
// may replace the semicolon). If browsers would find no URL, only the time is kept.
std::string rewrite_refresh(std::string_view value, const relay_route& route);

// Decodes a chunked body in place.
class chunk_decoder {
public:
    struct step {
        std::size_t data;  // decoded bytes, at the front now
        std::size_t used;  // of the given bytes; fewer than all only at the end of the body
    };
    // Error: upstream_failed.
    result<step> decode(std::span<char> bytes);
    bool done() const noexcept { return state_ == state::done; }

private:
    enum class state {
        size_first,
        size,
        extension,
        size_lf,
        data,
        data_cr,
        data_lf,
        trailer_first,
        trailer,
        trailer_lf,
        end_lf,
        done
    };
    state state_{state::size_first};
    std::uint64_t left_{0};
    std::size_t line_{0};  // bytes of the extension, or of all trailers
};

}  // namespace sandboxd::proxy
