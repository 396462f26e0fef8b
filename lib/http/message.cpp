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

std::string_view response::text() const noexcept
{
    if (const auto* own = std::get_if<std::string>(&body)) return *own;
    const auto* const memory = std::get_if<memory_slice>(&body);
    return memory ? memory->bytes : std::string_view{};
}

void response::share_body()
{
    auto* const own = std::get_if<std::string>(&body);
    if (!own) return;
    auto shared = std::make_shared<const std::string>(std::move(*own));
    const std::string_view bytes = *shared;
    body = memory_slice{.owner = std::move(shared), .bytes = bytes, .counts = true};
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
