#include "base/base64.hpp"

#include <array>
#include <cstdint>

namespace sandboxd {

namespace {

constexpr std::uint8_t no_digit = 0xff;

constexpr std::array<std::uint8_t, 256> make_digits()
{
    constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::array<std::uint8_t, 256> made{};
    for (auto& one : made) one = no_digit;
    for (std::size_t i = 0; i < alphabet.size(); ++i)
        made[static_cast<unsigned char>(alphabet[i])] = static_cast<std::uint8_t>(i);
    return made;
}

constexpr auto base64_digits = make_digits();

}  // namespace

std::optional<std::string> decode_base64(std::string_view text)
{
    if (text.size() % 4 != 0) return std::nullopt;
    std::size_t padding = 0;
    while (padding < 2 && text.ends_with('=')) {
        text.remove_suffix(1);
        ++padding;
    }
    std::string bytes;
    bytes.reserve(text.size() / 4 * 3 + 2);
    std::uint32_t bits = 0;
    unsigned count = 0;  // bits that do not make a byte yet
    for (const char one : text) {
        const auto digit = base64_digits[static_cast<unsigned char>(one)];
        if (digit == no_digit) return std::nullopt;
        bits = (bits << 6) | digit;
        count += 6;
        if (count < 8) continue;
        count -= 8;
        bytes += static_cast<char>((bits >> count) & 0xff);
        bits &= (1u << count) - 1;
    }
    if (bits != 0) return std::nullopt;
    return bytes;
}

std::string encode_base64(std::string_view bytes)
{
    constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        std::uint32_t three = 0;
        for (std::size_t k = 0; k < 3; ++k)
            three = three << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0U);
        for (std::size_t k = 0; k < 4; ++k) text += i + k <= bytes.size() ? digits[three >> (18 - 6 * k) & 0x3f] : '=';
    }
    return text;
}

}  // namespace sandboxd
