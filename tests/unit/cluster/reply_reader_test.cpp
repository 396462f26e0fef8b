#include "cluster/reply_reader.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace sandboxd;
using namespace sandboxd::cluster;
using kind = reply::kind;

namespace {

// A literal with zeros in it.
template <std::size_t size>
std::string raw(const char (&text)[size])
{
    return std::string(text, size - 1);
}

// What comes of these bytes: the answers, or the name of the error.
std::string told(std::string_view bytes, std::size_t most = 100'000)
{
    reply_reader reader{most};
    reader.feed(bytes);
    const auto said = reader.next();
    if (!said) return std::string{name(said.error().code)};
    return *said ? "an answer" : "more must come";
}

std::string lists(unsigned depth)
{
    std::string made;
    for (unsigned i = 0; i < depth; ++i) made += "*1\r\n";
    return made + ":1\r\n";
}

}  // namespace

TEST_CASE("an answer of Redis is read whatever pieces it comes in", "[cluster]")
{
    const auto bytes =
        raw("+OK\r\n-ERR no\r\n:-12\r\n$4\r\na\0\r\n\r\n$-1\r\n*-1\r\n$0\r\n\r\n*0\r\n"
            "*3\r\n*2\r\n:1\r\n$1\r\nx\r\n$-1\r\n+y\r\n");
    const reply list{
        .is = kind::list,
        .list = {{.is = kind::list, .list = {{.is = kind::number, .number = 1}, {.is = kind::text, .text = "x"}}},
                 {.is = kind::nothing},
                 {.is = kind::status, .text = "y"}}};
    const std::vector<reply> expected{{.is = kind::status, .text = "OK"},
                                      {.is = kind::failure, .text = "ERR no"},
                                      {.is = kind::number, .number = -12},
                                      {.is = kind::text, .text = raw("a\0\r\n")},
                                      {.is = kind::nothing},
                                      {.is = kind::nothing},
                                      {.is = kind::text},
                                      {.is = kind::list},
                                      list};
    for (const std::size_t piece : {std::size_t{1}, std::size_t{2}, std::size_t{7}, bytes.size()}) {
        CAPTURE(piece);
        reply_reader reader{100'000};
        std::vector<reply> got;
        for (std::size_t at = 0; at < bytes.size(); at += piece) {
            reader.feed(std::string_view{bytes}.substr(at, piece));
            for (;;) {
                auto next = reader.next();
                REQUIRE(next.has_value());
                if (!*next) break;
                got.push_back(std::move(**next));
            }
        }
        CHECK(got == expected);
        CHECK(reader.is_empty());
    }
}

TEST_CASE("an answer that is too large is refused before it takes memory", "[cluster]")
{
    CHECK(told("$1000\r\n" + std::string(1000, 'x') + "\r\n", 1000) == "an answer");
    CHECK(told("$1001\r\n" + std::string(1001, 'x') + "\r\n", 1000) == "payload_too_large");
    // One that never ends.
    CHECK(told("$1000000000\r\n" + std::string(900, 'x'), 1000) == "more must come");
    CHECK(told("$1000000000\r\n" + std::string(1030, 'x'), 1000) == "payload_too_large");
    CHECK(told("+" + std::string(1040, 'x'), 1000) == "payload_too_large");
    // The largest that is let in, byte by byte.
    reply_reader slow{1000};
    std::size_t got = 0;
    for (const char c : "$1000\r\n" + std::string(1000, 'x') + "\r\n") {
        slow.feed({&c, 1});
        const auto said = slow.next();
        REQUIRE(said.has_value());
        if (*said) got += (*said)->text.size();
    }
    CHECK(got == 1000);
    // Lists that are large by what they say, and by what is in them.
    CHECK(told("*2000000000\r\n") == "payload_too_large");
    CHECK(told("*10\r\n", 10 * sizeof(reply)) == "more must come");
    CHECK(told("*11\r\n", 10 * sizeof(reply)) == "payload_too_large");
    CHECK(told("*2\r\n*9\r\n", 10 * sizeof(reply)) == "payload_too_large");
    CHECK(told("*2\r\n$10\r\n0123456789\r\n$10\r\n0123456789\r\n", 2 * sizeof(reply) + 19) == "payload_too_large");
    CHECK(told("*2\r\n$10\r\n0123456789\r\n$10\r\n0123456789\r\n", 2 * sizeof(reply) + 20) == "an answer");

    // The bound is of one answer, not of all.
    reply_reader reader{1000};
    for (int i = 0; i < 100; ++i) {
        reader.feed("$900\r\n" + std::string(900, 'x') + "\r\n");
        const auto said = reader.next();
        REQUIRE(said.has_value());
        CHECK(said->has_value());
    }
}

TEST_CASE("an answer that is nested too deeply, or of no known type, is refused", "[cluster]")
{
    CHECK(told(lists(deepest_reply)) == "an answer");
    CHECK(told(lists(deepest_reply + 1)) == "upstream_failed");
    CHECK(told(lists(10'000)) == "upstream_failed");
    for (const char* wrong :
         {"%1\r\n+a\r\n+b\r\n", "~1\r\n:1\r\n", ",1.5\r\n", "#t\r\n", ">1\r\n+a\r\n", "(123\r\n", "=5\r\ntxt:a\r\n",
          "|1\r\n+a\r\n+b\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n", "\r\n", "$x\r\n", "$-2\r\n", "*-2\r\n", ":x\r\n",
          "$99999999999999999999\r\n", "*99999999999999999999\r\n"}) {
        CAPTURE(wrong);
        CHECK(told(wrong) == "upstream_failed");
    }
    // After an error there are only errors.
    reply_reader reader{100};
    reader.feed(":x\r\n");
    CHECK_FALSE(reader.next().has_value());
    reader.feed("+OK\r\n");
    CHECK_FALSE(reader.next().has_value());
}

TEST_CASE("a reader says whether something of an answer has come", "[cluster]")
{
    for (const char* part : {"+", "*2\r\n", "*2\r\n:1\r\n", "$5\r\nab"}) {
        CAPTURE(part);
        reply_reader reader{1000};
        CHECK(reader.is_empty());
        reader.feed(part);
        const auto said = reader.next();
        REQUIRE(said.has_value());
        CHECK_FALSE(said->has_value());
        CHECK_FALSE(reader.is_empty());
    }
}

TEST_CASE("a request has its words as they are, up to a bound", "[cluster]")
{
    CHECK(request_of({"SET", "key", raw("a\0\r\n")}, 10).value() ==
          raw("*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$4\r\na\0\r\n\r\n"));
    CHECK(request_of({"", "x"}, 10).value() == "*2\r\n$0\r\n\r\n$1\r\nx\r\n");
    CHECK(request_of({"SET", "key", "value"}, 10).error().code == errc::payload_too_large);
    CHECK(request_of({}, 10).error().code == errc::invalid_request);
}
