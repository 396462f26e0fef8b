#include "http/field_text.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <vector>

using namespace sandboxd::http;

namespace {

std::vector<std::string> elements_of(std::string_view list)
{
    std::vector<std::string> found;
    for (std::string_view one; next_element(list, one);) found.emplace_back(one);
    return found;
}

}  // namespace

TEST_CASE("a token holds what RFC 9110 5.6.2 names", "[field_text]")
{
    const std::string marks = "!#$%&'*+-.^_`|~";
    for (int octet = 0; octet < 256; ++octet) {
        const auto c = static_cast<char>(octet);
        const bool alphanumeric = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        CAPTURE(octet);
        CHECK(is_token(std::string(1, c)) == (alphanumeric || marks.find(c) != std::string::npos));
    }
    CHECK_FALSE(is_token(""));
    CHECK_FALSE(is_token("two words"));
}

TEST_CASE("white space around a value and empty elements of a list do not count", "[field_text]")
{
    CHECK(trim(" \t a b\t ") == "a b");
    CHECK(trim(" \t ").empty());
    CHECK(trim("\r\na").size() == 3);
    CHECK(elements_of("a, b ,,\tc") == std::vector<std::string>{"a", "b", "c"});
    CHECK(elements_of(" , ,") == std::vector<std::string>{});
    CHECK(elements_of("") == std::vector<std::string>{});
}
