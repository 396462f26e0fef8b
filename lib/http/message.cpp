#include "http/message.hpp"

#include <boost/beast/http/status.hpp>

namespace sandboxd::http {

std::uint64_t response::body_bytes() const noexcept
{
    if (const auto* text = std::get_if<std::string>(&body)) return text->size();
    if (const auto* memory = std::get_if<memory_slice>(&body)) return memory->bytes.size();
    const auto* const file = std::get_if<file_slice>(&body);
    return file ? file->bytes : 0;
}

std::string_view reason(unsigned status) noexcept
{
    if (status == 103) return "Early Hints";  // RFC 8297; Beast does not know it
    const auto known = boost::beast::http::int_to_status(status);
    if (known == boost::beast::http::status::unknown) return "Unknown";
    const auto text = boost::beast::http::obsolete_reason(known);
    return {text.data(), text.size()};
}

}  // namespace sandboxd::http
