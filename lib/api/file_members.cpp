#include "api/file_members.hpp"

#include "base/ascii.hpp"
#include "base/base64.hpp"

#include <utility>

namespace sandboxd::api {

std::optional<error> decode_content(std::size_t index, const std::optional<std::string>& encoding, std::string& content)
{
    const auto name = in_lower_case(encoding.value_or("utf-8"));
    if (name == "utf-8" || name == "utf8") return std::nullopt;
    const auto file = "files[" + std::to_string(index) + "].";
    if (name != "base64")
        return invalid_request(file + "encoding must be \"utf-8\" or \"base64\", or left out for text");
    auto bytes = decode_base64(content);
    if (!bytes)
        return invalid_request(file +
                               "content is not base64: use A-Z, a-z, 0-9, '+' and '/', padded with '=' to a "
                               "multiple of four, without line ends (RFC 4648, section 4)");
    content = std::move(*bytes);
    return std::nullopt;
}

}  // namespace sandboxd::api
