// What a program answers, as an attacker of its clients and of the proxy would write it. A head that is let through
// becomes whole lines, none of which frames the message or speaks for the server; behind a prefix no cookie and no
// Location leaves it. A chunked body is the same however its bytes arrive.
#include "http/header_check.hpp"
#include "http/uri.hpp"
#include "proxy/relay.hpp"
#include "require.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>

using namespace sandboxd::proxy;
using sandboxd::http::find_header_end;
using sandboxd::http::has_dot_segment;

namespace {

constexpr std::string_view prefix = "/faas/x";

std::string lowered(std::string_view text)
{
    std::string made;
    std::ranges::transform(text, std::back_inserter(made),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
    return made;
}

bool within_prefix(std::string_view path)
{
    return path.starts_with(prefix) && (path.size() == prefix.size() ||
                                        std::string_view{"/?#;"}.find(path[prefix.size()]) != std::string_view::npos);
}

// Every attribute behind the first part, which is the cookie itself.
void check_cookie(std::string_view value)
{
    bool has_path = false;
    for (auto at = value.find(';'); at != std::string_view::npos; at = value.find(';')) {
        value.remove_prefix(at + 1);
        auto part = value.substr(0, value.find(';'));
        while (part.starts_with(' ') || part.starts_with('\t')) part.remove_prefix(1);
        auto name = part.substr(0, part.find('='));
        while (name.ends_with(' ') || name.ends_with('\t')) name.remove_suffix(1);
        require(name != "domain");
        if (name != "path") continue;
        has_path = true;
        require(within_prefix(part.substr(part.find('=') + 1)));
    }
    require(has_path);
}

void check_fields(std::string_view fields, bool guest)
{
    constexpr std::array never{
        "connection", "content-length",    "transfer-encoding", "keep-alive",   "upgrade",     "trailer",
        "te",         "alt-svc",           "clear-site-data",   "x-request-id", "set-cookie2", "x-accel-redirect",
        "x-sendfile", "proxy-authenticate"};
    while (!fields.empty()) {
        const auto end = fields.find("\r\n");
        require(end != std::string_view::npos);
        const auto line = fields.substr(0, end);
        fields.remove_prefix(end + 2);
        require(line.find_first_of(std::string_view{"\r\n\0", 3}) == std::string_view::npos);
        const auto colon = line.find(": ");
        require(colon != std::string_view::npos && colon > 0);
        const auto name = lowered(line.substr(0, colon));
        const auto value = lowered(line.substr(colon + 2));
        require(std::ranges::find(never, name) == never.end());
        if (!guest) continue;
        require(name != "strict-transport-security" && name != "service-worker-allowed");
        if (name == "set-cookie") check_cookie(value);
        const bool absolute = value.starts_with('/') && !value.starts_with("//") && !value.starts_with("/\\");
        if (name != "location") continue;
        if (absolute) require(within_prefix(value));
        // What has neither a scheme nor a host does not lead up.
        const auto path = value.substr(0, value.find_first_of("?#"));
        if (path.find(':') == std::string_view::npos && !path.starts_with("//")) require(!has_dot_segment(path));
    }
}

struct decoded {
    bool fine{true};
    bool done{false};
    std::string body;
    std::size_t used{0};
};

decoded in_pieces(std::string_view bytes, std::size_t step)
{
    decoded seen;
    chunk_decoder chunks;
    for (std::size_t at = 0; at < bytes.size() && !chunks.done(); at += step) {
        std::string piece{bytes.substr(at, step)};
        const auto taken = chunks.decode(piece);
        if (!taken) {
            seen.fine = false;
            return seen;
        }
        require(taken->data <= taken->used && taken->used <= piece.size());
        require(taken->used == piece.size() || chunks.done());
        seen.body.append(piece, 0, taken->data);
        seen.used += taken->used;
    }
    seen.done = chunks.done();
    return seen;
}

void check_chunks(std::string_view bytes)
{
    const auto whole = in_pieces(bytes, std::max<std::size_t>(bytes.size(), 1));
    for (const std::size_t step : {std::size_t{1}, std::size_t{3}}) {
        const auto other = in_pieces(bytes, step);
        require(other.fine == whole.fine);
        if (!whole.fine) continue;
        require(other.done == whole.done && other.body == whole.body && other.used == whole.used);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view bytes{reinterpret_cast<const char*>(data), size};
    std::size_t scanned = 0;
    const auto end = find_header_end(bytes, scanned);
    if (!end) return 0;
    if (*end == 0) {
        check_chunks(bytes);
        return 0;
    }
    const auto head = bytes.substr(0, *end);
    check_chunks(bytes.substr(*end));
    for (const bool to_head : {false, true}) {
        answer_head read;
        if (auto fine = read_answer_head(head, to_head, read); !fine) {
            require(!fine.error().message.empty());
            continue;
        }
        require(read.status >= 100 && read.status <= 999);
        for (const auto guest : {false, true}) {
            const relay_route route{.prefix = guest ? prefix : std::string_view{},
                                    .target = "/a/b?c",
                                    .host = "example.com",
                                    .peer = {},
                                    .sandbox_pages = guest,
                                    .request_id = "id"};
            std::string fields;
            write_answer_fields(fields, read, route);
            check_fields(fields, guest);
        }
    }
    return 0;
}
