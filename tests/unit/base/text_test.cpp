#include "base/text.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace sandboxd;

TEST_CASE("a stranger's name is quoted, escaped and shortened for a message", "[base]")
{
    CHECK(in_quotes("") == "''");
    CHECK(in_quotes("a b") == "'a b'");
    CHECK(in_quotes("it's\n\x7f\\") == R"('it\x27s\x0a\x7f\x5c')");
    CHECK(in_quotes("gr\u00f6\u00dfe \u6f22\u5b57 \U0001f600") == "'gr\u00f6\u00dfe \u6f22\u5b57 \U0001f600'");
    // A line separator, a direction, a byte order mark, a blank, a tag; no UTF-8: overlong, half, a surrogate.
    CHECK(in_quotes("\u2028\u202e\ufeff\u00a0") == R"('\xe2\x80\xa8\xe2\x80\xae\xef\xbb\xbf\xc2\xa0')");
    CHECK(in_quotes("\U000e0041") == R"('\xf3\xa0\x81\x81')");
    CHECK(in_quotes("\xc0\xaf\xc3") == R"('\xc0\xaf\xc3')");
    CHECK(in_quotes("\xed\xa0\x80z") == R"('\xed\xa0\x80z')");
    CHECK(in_quotes(std::string(99, 'x') + "\u00f6") == "'" + std::string(99, 'x') + "...'");
    CHECK(in_quotes(std::string(100, 'x')) == "'" + std::string(100, 'x') + "'");
    CHECK(in_quotes(std::string(101, 'x')) == "'" + std::string(100, 'x') + "...'");
}
