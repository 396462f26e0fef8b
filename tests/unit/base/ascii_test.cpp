#include "base/ascii.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace sandboxd;

TEST_CASE("characters are what they are in ASCII, and nothing else is one", "[ascii]")
{
    std::string digits, lower, upper, letters, alphanumeric, hex;
    for (int octet = 0; octet < 256; ++octet) {
        const auto c = static_cast<char>(octet);
        if (is_digit(c)) digits += c;
        if (is_lower(c)) lower += c;
        if (is_upper(c)) upper += c;
        if (is_letter(c)) letters += c;
        if (is_alphanumeric(c)) alphanumeric += c;
        if (is_lower_hex(c)) hex += c;
        const auto value = std::string{"0123456789abcdef"}.find(to_lower(c));
        CHECK(hex_value(c) == (value == std::string::npos ? -1 : static_cast<int>(value)));
        CHECK(to_lower(c) == (octet >= 'A' && octet <= 'Z' ? static_cast<char>(octet + 32) : c));
    }
    CHECK(digits == "0123456789");
    CHECK(lower == "abcdefghijklmnopqrstuvwxyz");
    CHECK(upper == "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    CHECK(letters == upper + lower);
    CHECK(alphanumeric == digits + upper + lower);
    CHECK(hex == digits + "abcdef");
}

TEST_CASE("words are the same in any case, and only whole", "[ascii]")
{
    CHECK(same_word("Content-Length", "content-LENGTH"));
    CHECK(same_word("", ""));
    CHECK_FALSE(same_word("gzip", "gzi"));
    CHECK_FALSE(same_word("gzi", "gzip"));
    // The letters are 0x20 apart; these pairs are, too.
    CHECK_FALSE(same_word("[", "{"));
    CHECK_FALSE(same_word("@", "`"));
    CHECK_FALSE(same_word("\xc9", "\xe9"));
}

TEST_CASE("a text becomes lower case in ASCII only, and loses what is around it", "[ascii]")
{
    CHECK(in_lower_case("X-Ä1z") == "x-Ä1z");
    CHECK(trim(" \t\r\na b\n ") == "a b");
    CHECK(trim(" \r\n").empty());
    CHECK(trim("").empty());
    CHECK(trim("\n a\t", " \t") == "\n a");
}
