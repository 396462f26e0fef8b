// Fields of a conditional request, as an attacker would send them. The input's lines are Range,
// If-Range, If-None-Match, If-Match, Accept-Encoding; the rest of it says how large the
// representation is.
#include "http/conditional.hpp"
#include "require.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace {

std::string_view next_line(std::string_view& text)
{
    const auto end = text.find('\n');
    const auto line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    return line;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace sandboxd::http;

    std::string_view text{reinterpret_cast<const char*>(data), size};
    conditions request;
    const auto range = next_line(text);
    const auto if_range = next_line(text);
    const auto if_none_match = next_line(text);
    const auto if_match = next_line(text);
    const auto codings = next_line(text);
    request.range = range;
    if (!if_range.empty()) request.if_range = if_range;
    if (!if_none_match.empty()) request.if_none_match = if_none_match;
    if (!if_match.empty()) request.if_match = if_match;
    std::uint64_t bytes = 0;
    for (const char c : text.substr(0, 8)) bytes = bytes << 8 | static_cast<unsigned char>(c);

    accept_encoding(codings);
    for (const bool head : {false, true}) {
        request.head = head;
        const auto plan = plan_response(request, bytes, "\"tag\"");
        switch (plan.status) {
            case 200: require(plan.offset == 0 && plan.length == bytes && plan.content_range.empty()); break;
            case 206:
                require(!head && plan.length > 0 && plan.length <= bytes);
                require(plan.offset <= bytes - plan.length);
                require(plan.content_range == "bytes " + std::to_string(plan.offset) + "-" +
                                                  std::to_string(plan.offset + plan.length - 1) + "/" +
                                                  std::to_string(bytes));
                break;
            case 416:
                require(!head && plan.length == 0);
                require(plan.content_range == "bytes */" + std::to_string(bytes));
                break;
            case 304: require(request.if_none_match && plan.length == 0); break;
            case 412: require(request.if_match && plan.length == 0); break;
            default: require(false);
        }
    }
    return 0;
}
