#include "base/uuid.hpp"

#include "base/ascii.hpp"
#include "base/digest.hpp"

namespace sandboxd {

std::string new_uuid()
{
    auto hex = random_hex(16);
    hex[12] = '4';
    constexpr std::string_view variant = "89ab";
    hex[16] = variant[static_cast<std::size_t>(hex[16] <= '9' ? hex[16] - '0' : hex[16] - 'a') % 4];
    for (const std::size_t at : {8U, 13U, 18U, 23U}) hex.insert(at, 1, '-');
    return hex;
}

bool is_uuid(std::string_view text) noexcept
{
    if (text.size() != 36) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? c != '-' : !is_lower_hex(c)) return false;
    }
    return true;
}

}  // namespace sandboxd
