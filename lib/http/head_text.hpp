// The lines of a response's head, written into a string.
#pragma once

#include <array>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

namespace sandboxd::http {

inline void append_number(std::string& text, std::uint64_t value, int base = 10)
{
    std::array<char, 20> digits{};
    text.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), value, base).ptr);
}

inline void append_status_line(std::string& head, unsigned status, std::string_view phrase)
{
    head += "HTTP/1.1 ";
    append_number(head, status);
    head += ' ';
    head += phrase;
    head += "\r\n";
}

inline void append_field(std::string& head, std::string_view name, std::string_view value)
{
    head += name;
    head += ": ";
    head += value;
    head += "\r\n";
}

inline void append_length(std::string& head, std::uint64_t bytes)
{
    head += "Content-Length: ";
    append_number(head, bytes);
    head += "\r\n";
}

// RFC 9110 6.4.1.
inline bool has_no_body(unsigned status) noexcept { return status < 200 || status == 204 || status == 304; }

}  // namespace sandboxd::http
