#include "base/text.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace sandboxd;

TEST_CASE("a stranger's name is quoted, escaped and shortened for a message", "[base]")
{
    CHECK(in_quotes("") == "''");
    CHECK(in_quotes("a b") == "'a b'");
    CHECK(in_quotes("it's\n\x7f\xc3\xa9\\") == R"('it\x27s\x0a\x7f\xc3\xa9\x5c')");
    CHECK(in_quotes(std::string(100, 'x')) == "'" + std::string(100, 'x') + "'");
    CHECK(in_quotes(std::string(101, 'x')) == "'" + std::string(100, 'x') + "...'");
}
