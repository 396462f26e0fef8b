#include "http/conditional.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace sandboxd::http;

namespace {

const std::string etag = "\"0123\"";

std::string describe(const response_plan& plan)
{
    std::string text =
        std::to_string(plan.status) + " " + std::to_string(plan.offset) + "+" + std::to_string(plan.length);
    if (!plan.content_range.empty()) text += " " + plan.content_range;
    return text;
}

std::string range(std::string_view field, std::uint64_t bytes = 100)
{
    conditions request;
    request.range = field;
    return describe(plan_response(request, bytes, etag));
}

unsigned none_match(std::string_view field)
{
    conditions request;
    request.if_none_match = field;
    return plan_response(request, 100, etag).status;
}

unsigned match(std::string_view field)
{
    conditions request;
    request.if_match = field;
    return plan_response(request, 100, etag).status;
}

std::string if_range(std::string_view field, std::string_view wanted = "bytes=0-0")
{
    conditions request;
    request.if_range = field;
    request.range = wanted;
    return describe(plan_response(request, 100, etag));
}

std::string codings(std::string_view header)
{
    const auto accepted = accept_encoding(header);
    return std::string{accepted.gzip ? "gzip " : ""} + (accepted.brotli ? "br" : "");
}

const std::string whole = "200 0+100";

}  // namespace

TEST_CASE("a request without conditions gets everything")
{
    CHECK(describe(plan_response({}, 100, etag)) == whole);
    CHECK(describe(plan_response({}, 0, etag)) == "200 0+0");
}

TEST_CASE("If-None-Match compares weakly and takes lists")
{
    for (const auto* field :
         {"\"0123\"", "W/\"0123\"", "*", " * ", "\"a\", \"0123\"", "\"a\",W/\"0123\"", ",, \"0123\" ,",
          "\"a,b\", \"0123\"", "\t\"0123\"\t", "\"\", \"0123\"", "\"\xc3\xbc\",\"0123\""}) {
        INFO(field);
        CHECK(none_match(field) == 304);
    }
    for (const auto* field : {"", "0123", "\"0123", "\"012\"", "w/\"0123\"", "\"0123-gz\"", "\"a\" \"0123\"",
                              "\"0123\"x", "*, \"0123\"", "W/", "W/*", "\"a b\", \"0123\"", ","}) {
        INFO(field);
        CHECK(none_match(field) == 200);
    }
    conditions request;
    request.if_none_match = etag;
    request.range = "bytes=0-0";
    request.head = true;
    CHECK(describe(plan_response(request, 100, etag)) == "304 0+0");
}

TEST_CASE("If-Match compares strongly and comes first")
{
    CHECK(match("\"0123\"") == 200);
    CHECK(match("\"a\", \"0123\"") == 200);
    CHECK(match("*") == 200);
    CHECK(match("W/\"0123\"") == 412);
    CHECK(match("\"a\"") == 412);
    CHECK(match("") == 412);
    conditions request;
    request.if_match = "\"a\"";
    request.if_none_match = "*";
    CHECK(describe(plan_response(request, 100, etag)) == "412 0+0");
}

TEST_CASE("a single range is cut out")
{
    CHECK(range("bytes=0-0") == "206 0+1 bytes 0-0/100");
    CHECK(range("bytes=0-99") == "206 0+100 bytes 0-99/100");
    CHECK(range("bytes=10-19") == "206 10+10 bytes 10-19/100");
    CHECK(range("bytes=10-") == "206 10+90 bytes 10-99/100");
    CHECK(range("bytes=99-1000") == "206 99+1 bytes 99-99/100");
    CHECK(range("bytes=-1") == "206 99+1 bytes 99-99/100");
    CHECK(range("bytes=-100") == "206 0+100 bytes 0-99/100");
    CHECK(range("bytes=-101") == "206 0+100 bytes 0-99/100");
    CHECK(range("BYTES=0-0") == "206 0+1 bytes 0-0/100");
    CHECK(range(" bytes=0-0 ") == "206 0+1 bytes 0-0/100");
    CHECK(range("bytes= , 0-0 ,") == "206 0+1 bytes 0-0/100");
    CHECK(range("bytes=000000000000000000000000001-2") == "206 1+2 bytes 1-2/100");
    const std::string last = "18446744073709551614";
    CHECK(range("bytes=" + last + "-", ~std::uint64_t{0}) ==
          "206 " + last + "+1 bytes " + last + "-" + last + "/18446744073709551615");
}

TEST_CASE("a range outside is not satisfiable")
{
    CHECK(range("bytes=100-") == "416 0+0 bytes */100");
    CHECK(range("bytes=100-200") == "416 0+0 bytes */100");
    CHECK(range("bytes=-0") == "416 0+0 bytes */100");
    CHECK(range("bytes=0-", 0) == "416 0+0 bytes */0");
    CHECK(range("bytes=-1", 0) == "200 0+0");
}

TEST_CASE("positions of any number of digits are safe")
{
    const std::string many(1000, '9');
    CHECK(range("bytes=" + many + "-") == "416 0+0 bytes */100");
    CHECK(range("bytes=5-" + many) == "206 5+95 bytes 5-99/100");
    CHECK(range("bytes=-" + many) == "206 0+100 bytes 0-99/100");
    CHECK(range("bytes=18446744073709551615-18446744073709551616") == "416 0+0 bytes */100");
    CHECK(range("bytes=18446744073709551616-18446744073709551617") == "416 0+0 bytes */100");
}

TEST_CASE("a range that is malformed, of another unit or one of several is ignored")
{
    for (const auto* field : {"",
                              "bytes",
                              "bytes=",
                              "bytes=-",
                              "bytes=a-b",
                              "bytes=1",
                              "bytes=2-1",
                              "bytes=1-2-3",
                              "bytes=--1",
                              "bytes=+1-2",
                              "bytes=1 - 2",
                              "bytes =0-0",
                              "bytes=0x1-2",
                              "items=0-0",
                              "=0-0",
                              "bytes=0-0,2-3",
                              "bytes=0-0,1000-",
                              "bytes=1000-,2000-",
                              "bytes=,",
                              "bytes=0-0;x",
                              "bytes=1-\n2",
                              "bytes=-1-2"}) {
        INFO(field);
        CHECK(range(field) == whole);
    }
}

TEST_CASE("HEAD has no ranges")
{
    conditions request;
    request.range = "bytes=0-0";
    request.head = true;
    CHECK(describe(plan_response(request, 100, etag)) == whole);
    request.range = "bytes=1000-";
    CHECK(describe(plan_response(request, 100, etag)) == whole);
}

TEST_CASE("If-Range compares strongly; a date never matches")
{
    CHECK(if_range("\"0123\"") == "206 0+1 bytes 0-0/100");
    CHECK(if_range(" \"0123\" ") == "206 0+1 bytes 0-0/100");
    CHECK(if_range("\"0123\"", "bytes=100-") == "416 0+0 bytes */100");
    for (const auto* field :
         {"W/\"0123\"", "\"a\"", "*", "", "\"0123\", \"a\"", "\"0123", "Wed, 21 Oct 2015 07:28:00 GMT"}) {
        INFO(field);
        CHECK(if_range(field) == whole);
        CHECK(if_range(field, "bytes=1000-") == whole);
    }
}

TEST_CASE("Accept-Encoding follows the client's weights")
{
    CHECK(codings("") == "");
    CHECK(codings("gzip") == "gzip ");
    CHECK(codings("br") == "br");
    CHECK(codings("gzip, deflate, br, zstd") == "gzip br");
    CHECK(codings("GZIP,BR") == "gzip br");
    CHECK(codings("x-gzip") == "gzip ");
    CHECK(codings("*") == "gzip br");
    CHECK(codings("*;q=0") == "");
    CHECK(codings("br;q=0, *") == "gzip ");
    CHECK(codings("gzip;q=0") == "");
    CHECK(codings("gzip;q=0.000, br") == "br");
    CHECK(codings("gzip;q=0.001") == "gzip ");
    CHECK(codings("gzip;q=1.0, br;q=0.5") == "gzip ");
    CHECK(codings("gzip;q=0.5, br;q=0.50") == "gzip br");
    CHECK(codings("gzip ; q=0.8 , br ; Q=0.9") == "br");
    CHECK(codings("identity") == "");
    CHECK(codings("identity;q=0.5, gzip;q=0.4") == "");
    CHECK(codings("identity;q=0.5, gzip;q=0.6") == "gzip ");
    CHECK(codings("identity;q=0") == "");
    CHECK(codings("identity;q=0, *") == "gzip br");
    CHECK(codings("gzip, gzip;q=0") == "");
    for (const auto* field :
         {"gzip;q=", "gzip;q=2", "gzip;q=-1", "gzip;q=0.1234", "gzip;q=1.001", "gzip;x=1", "gzip;q=0,5", "gzip;q=a",
          "gzip;", "gzip;q=1;x", "g zip", ";q=1", "gzipp", "\xff\xfe", ",,,", "gzip=1"}) {
        INFO(field);
        CHECK(codings(field) == "");
    }
}
