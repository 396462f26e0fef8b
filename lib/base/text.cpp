#include "base/text.hpp"

#include <cstddef>

namespace sandboxd {

std::string in_quotes(std::string_view name)
{
    static constexpr char digits[] = "0123456789abcdef";
    static constexpr std::size_t longest = 100;
    std::string text{"'"};
    for (const char c : name.substr(0, longest)) {
        const auto octet = static_cast<unsigned char>(c);
        if (octet < 0x20 || octet > 0x7e || c == '\'' || c == '\\') {
            text += "\\x";
            text += digits[octet >> 4];
            text += digits[octet & 0xf];
        } else {
            text += c;
        }
    }
    if (name.size() > longest) text += "...";
    return text += '\'';
}

}  // namespace sandboxd
