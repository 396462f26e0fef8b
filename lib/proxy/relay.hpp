// What becomes of a request and of its answer when they are passed on: which fields go, which come, what is rewritten.
// Pure functions and small machines without sockets, after RFC 9110 7.6 and RFC 9112.
//
// Framing is never passed on: both sides of a proxy frame their messages anew, so nothing that the two ends would read
// differently gets across. What a program answers is as untrusted as what a client asks: a head that is not exactly
// HTTP/1 is refused as a whole.
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

struct body_shape {
    body_kind kind{body_kind::none};
    std::uint64_t length{0};
};

// How one request is passed on.
struct relay_route {
    std::string_view prefix;            // of the path, where the program is: "/a/b"; empty: a host name of its own
    std::string_view target;            // origin-form, as the program sees it: "/new?x=1"
    std::string_view host;              // what the client asked for
    std::string_view peer;              // the client's address; empty: it came over a Unix socket
    std::string_view forwarded_host{};  // what the client asked the trusted proxy for, where that says so
    // What the program calls itself, "localhost:8080": a redirect that leads there stays here. Must outlive the route.
    std::span<const std::string_view> own_hosts{};
    bool trusted{false};        // the peer is a proxy whose X-Forwarded-* are believed and continued
    bool sandbox_pages{false};  // pages get an opaque origin of their own; see write_answer_fields
    std::string_view request_id;
};

// The protocols that a request asks to switch to; empty where it does not, or asks for what is not passed on (h2c,
// under which a client could say anything in the proxy's name).
std::string_view upgrade_of(const boost::beast::http::fields& fields);

// Appends the head of the request as the program gets it. Left out: Connection and what it names, Keep-Alive, TE,
// Trailer, Transfer-Encoding, Content-Length, Upgrade, Expect, Proxy, Proxy-*, Forwarded, X-Forwarded-*, X-Real-IP (and
// their spellings with '_'). Set: Host, X-Forwarded-For, -Host, -Proto, -Prefix, X-Real-IP, X-Request-Id, the framing,
// and Connection and Upgrade where `upgrade` is not empty. For a trusted peer X-Forwarded-For is appended to, -Host and
// -Proto are kept, and X-Real-IP is the last hop that the peer names: what is before that, its own client has said.
void write_request_head(std::string& into, std::string_view method, const boost::beast::http::fields& fields,
                        const relay_route& route, const body_shape& body, std::string_view upgrade);

// The head of an answer, in views of the bytes that were read.
struct answer_head {
    unsigned status{0};
    std::string_view reason;
    std::vector<std::pair<std::string_view, std::string_view>> fields;
    body_shape body;
    bool keep_alive{false};
    std::string_view upgrade;
    // From its Keep-Alive field: how long the program keeps an idle connection.
    std::optional<std::chrono::seconds> keep_alive_for;
};

// Reads one head, up to and including its empty line, into `into`. `to_head`: the request was a HEAD. Error:
// upstream_failed, with what is wrong with it.
result<void> read_answer_head(std::string_view bytes, bool to_head, answer_head& into);

// Appends the fields of an answer as the client gets them; returns whether there was a Date. Left out, as belonging to
// the connection or the server: Connection and what it names, Keep-Alive, Transfer-Encoding, Content-Length, Trailer,
// Upgrade, Proxy-*, Alt-Svc, Set-Login, X-Request-Id, what makes a proxy in front fetch something (X-Accel-*,
// X-Sendfile and their like), and Clear-Site-Data, which reaches the cookies of the neighbours. So does the Domain of a
// cookie: it is taken off, always.
//
// Behind a prefix, the program is a guest in the origin of this server. So cookies get its prefix before their Path;
// Location, Content-Location and Refresh within the origin, too; fields that set something for the whole origin are
// left out (Service-Worker-Allowed, Strict-Transport-Security, Public-Key-Pins, Expect-CT, NEL, Report-To, Accept-CH,
// Critical-CH, Origin-Agent-Cluster, Use-As-Dictionary, Shared-Storage-Write, Sec-Session-*, Secure-Session-*); and
// with `sandbox_pages` a Content-Security-Policy puts its pages in an opaque origin. Access-Control-* stay: a browser
// keeps them for the URL alone.
bool write_answer_fields(std::string& into, const answer_head& head, const relay_route& route);

// The value of a Set-Cookie field behind a prefix (or, where it is empty, under a host name of its own). `path` is that
// of the request as the program saw it.
std::string rewrite_cookie(std::string_view value, std::string_view prefix, std::string_view path);

// The value of a Location field behind a prefix, read as a browser reads it (WHATWG URL): what is beneath this origin
// moves beneath the prefix, without segments "." and ".."; what leads to another host is passed on, with exactly two
// slashes before it. What clients read in different ways ("http:/x", a host that only IDNA could tell) counts as this
// origin's.
std::string rewrite_location(std::string_view value, const relay_route& route);
// The same for the URL in a Refresh field, read as browsers read it (HTML, "shared declarative refresh steps": blanks
// may stand for the semicolon). Of what is none for them the time alone is left.
std::string rewrite_refresh(std::string_view value, const relay_route& route);

// Takes a chunked body apart, in place.
class chunk_decoder {
public:
    struct step {
        std::size_t data;  // decoded bytes, at the front now
        std::size_t used;  // of the bytes given; fewer than all only at the end of the body
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
