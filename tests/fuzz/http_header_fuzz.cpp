// Fuzzes the wall before the HTTP parser with raw bytes. A header's end is the same however the
// bytes arrive. What the gate lets through, Beast's parser either refuses or frames as the gate
// does: the same method, version, length and coding, and not one byte more or less of header.
#include "http/header_check.hpp"
#include "require.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

using namespace sandboxd;
using namespace sandboxd::http;
namespace beast_http = boost::beast::http;

namespace {

// -1: an error.
long end_of(std::string_view bytes)
{
    std::size_t scanned = 0;
    const auto end = find_header_end(bytes, scanned);
    return end ? static_cast<long>(*end) : -1;
}

long end_in_pieces(std::string_view bytes, std::size_t step)
{
    std::size_t scanned = 0;
    for (std::size_t size = 0;; size = std::min(size + step, bytes.size())) {
        const auto end = find_header_end(bytes.substr(0, size), scanned);
        require(scanned <= size);
        if (!end) return -1;
        if (*end > 0) return static_cast<long>(*end);
        if (size == bytes.size()) return 0;
    }
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

// What a header's field lines say, read as plainly as can be: the values of all fields of that
// name.
std::vector<std::string> values_of(std::string_view header, std::string_view wanted)
{
    std::vector<std::string> values;
    header.remove_prefix(header.find("\r\n") + 2);
    while (!header.starts_with("\r\n")) {
        const auto end = header.find("\r\n");
        const auto line = header.substr(0, end);
        header.remove_prefix(end + 2);
        const auto colon = line.find(':');
        std::string name;
        std::ranges::transform(line.substr(0, colon), std::back_inserter(name), lower);
        if (name != wanted) continue;
        std::string value;
        for (const char c : line.substr(colon + 1)) {
            if (c != ' ' && c != '\t') value += lower(c);
        }
        values.push_back(value);
    }
    return values;
}

void check_framing(std::string_view header)
{
    const auto lengths = values_of(header, "content-length");
    const auto codings = values_of(header, "transfer-encoding");
    const auto hosts = values_of(header, "host");
    const bool http_1_0 = header.substr(0, header.find('\r')).ends_with("HTTP/1.0");
    require(lengths.size() + codings.size() <= 1);
    require(hosts.size() <= 1 && (http_1_0 || hosts.size() == 1));
    require(header.find('\0') == std::string_view::npos);

    beast_http::request_parser<beast_http::buffer_body> parser;
    parser.header_limit(static_cast<std::uint32_t>(header.size()) + 1);
    parser.body_limit(boost::none);
    boost::system::error_code ec;
    const auto used = parser.put(boost::asio::buffer(header.data(), header.size()), ec);
    if (ec) return;  // refusing more than the gate does harms nobody
    require(parser.is_header_done());
    require(used == header.size());

    const auto& request = parser.get();
    const auto method = request.method_string();
    require(header.starts_with(std::string_view{method.data(), method.size()}));
    require(request.version() == (http_1_0 ? 10 : 11));
    const auto target = request.target();
    require(header.substr(method.size() + 1, target.size()) == std::string_view(target.data(), target.size()));
    require(header[method.size() + 1 + target.size()] == ' ');

    require(parser.chunked() == !codings.empty());
    if (!codings.empty()) require(codings.front() == "chunked" && !http_1_0);
    const auto length = parser.content_length();
    require(length.has_value() == !lengths.empty());
    if (length) require(*length == std::strtoull(lengths.front().c_str(), nullptr, 10));
    const auto expected = lengths.empty() ? 0 : *length;
    if (codings.empty()) require(parser.is_done() == (expected == 0));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view bytes{reinterpret_cast<const char*>(data), size};
    const auto end = end_of(bytes);
    require(end >= -1 && end <= static_cast<long>(size));
    require(end_in_pieces(bytes, 1) == end);
    require(end_in_pieces(bytes, 3) == end);
    if (end <= 0) return 0;

    const auto header = bytes.substr(0, static_cast<std::size_t>(end));
    require(header.ends_with("\r\n\r\n"));
    require(header.find("\r\n\r\n") + 4 == header.size());
    const header_limits limits{.target_bytes = 200, .fields = 10};
    const auto wrong = check_header(header, limits);
    if (wrong) {
        require(!wrong->message.empty());
        return 0;
    }
    check_framing(header);
    return 0;
}
