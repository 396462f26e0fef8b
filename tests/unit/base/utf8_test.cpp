#include "base/utf8.hpp"

#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace sandboxd;
using namespace std::string_literals;

TEST_CASE("to_valid_utf8 replaces maximal ill-formed subsequences", "[base][utf8]")
{
    struct row {
        std::string given;
        std::string expected;
    };
    const std::string r = "\xef\xbf\xbd";
    const row rows[] = {
        {"", ""},
        {"plain", "plain"},
        {"a\0b"s, "a\0b"s},
        {"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\x80", r},
        {"\xff\xfe", r + r},
        {"\xc3", r},
        {"a\xc3z", "a" + r + "z"},
        {"\xc0\xaf", r + r},                                      // overlong '/'
        {"\xe0\x80\xaf", r + r + r},                              // overlong '/'
        {"\xed\xa0\x80", r + r + r},                              // a surrogate
        {"\xf4\x90\x80\x80", r + r + r + r},                      // above U+10FFFF
        {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},                 // U+10FFFF
        {"\xe2\x82", r},                                          // cut short
        {"\xf0\x9f\x98", r},                                      // cut short
        {"\xf0\x9f\x98x", r + "x"},                               //
        {"\x61\xf1\x80\x80\xe1\x80\xc2\x62\x80\x63\x80\xbf\x64",  // Unicode, table 3-8
         "a" + r + r + r + "b" + r + "c" + r + r + "d"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.given);
        const std::string text = to_valid_utf8(row.given);
        CHECK(text == row.expected);
        CHECK(is_valid_utf8(text));
        CHECK(is_valid_utf8(row.given) == (row.given == row.expected));
        // ASCII is read in steps of several bytes: what follows it is found at each place of a step.
        for (std::size_t before = 1; before <= 17; ++before) {
            CAPTURE(before);
            const std::string ascii(before, '~');
            CHECK(to_valid_utf8(ascii + row.given + ascii) == ascii + row.expected + ascii);
            CHECK(is_valid_utf8(ascii + row.given) == (row.given == row.expected));
        }
    }
}

TEST_CASE("utf8_prefix does not cut a character", "[base][utf8]")
{
    const std::string text = "a\xc3\xa9\xf0\x9f\x98\x80z";
    for (std::size_t n = 0; n <= text.size() + 1; ++n) {
        CAPTURE(n);
        const auto prefix = utf8_prefix(text, n);
        CHECK(prefix.size() <= n);
        CHECK(is_valid_utf8(prefix));
        CHECK(prefix.size() + 4 > std::min(n, text.size()));
    }
    CHECK(utf8_prefix("\x80\x80\x80\x80\x80\x80", 5).size() == 5);
    CHECK(utf8_prefix("", 0).empty());
}

TEST_CASE("the room in JSON is what its strings need", "[utf8]")
{
    const auto written = [](std::string_view bytes) {
        return boost::json::serialize(boost::json::string{to_valid_utf8(bytes)}).size() - 2;
    };
    std::string every;
    for (int i = 0; i < 256; ++i) every += static_cast<char>(i);
    for (const std::string_view bytes :
         {std::string_view{"plain"}, std::string_view{"\"\\\b\t\n\f\r/"}, std::string_view{"\x01\x0b\x1f\x7f"},
          std::string_view{"abc\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80."}, std::string_view{"ab.\xff\xfe\xc3(."},
          std::string_view{every}}) {
        std::size_t room = 100'000;
        CHECK(take_json_room(bytes, room) == bytes.size());
        // The last character may go on in the next piece.
        CHECK(100'000 - room + 2 * bytes.ends_with('\xff') == written(bytes));
        room = written(bytes) - 3;
        CHECK(take_json_room(bytes, room) < bytes.size());
    }
    // Neither half of a character is replaced.
    std::size_t room = 4;
    CHECK(take_json_room("a\xe2\x82", room) == 3);
    CHECK(room == 1);
    room = 2;
    CHECK(take_json_room("\xac.", room) == 2);
    CHECK(room == 0);
}
