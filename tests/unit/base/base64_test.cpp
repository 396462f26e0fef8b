#include "base/base64.hpp"

#include <catch2/catch_test_macros.hpp>

#include <optional>
#include <string>

using namespace sandboxd;

TEST_CASE("base64 is decoded", "[base][base64]")
{
    // RFC 4648, section 10.
    CHECK(decode_base64("") == "");
    CHECK(decode_base64("Zg==") == "f");
    CHECK(decode_base64("Zm8=") == "fo");
    CHECK(decode_base64("Zm9v") == "foo");
    CHECK(decode_base64("Zm9vYg==") == "foob");
    CHECK(decode_base64("Zm9vYmE=") == "fooba");
    CHECK(decode_base64("Zm9vYmFy") == "foobar");
    CHECK(decode_base64("AAECA/7/") == std::string{"\0\1\2\3\xfe\xff", 6});
    CHECK(decode_base64("+/+/") == "\xfb\xff\xbf");
    std::string zeros(1'000'000, 'A');
    CHECK(decode_base64(zeros) == std::string(750'000, '\0'));
}

TEST_CASE("what is not quite base64 is refused", "[base][base64]")
{
    for (const auto* text :
         {"Z", "Zg", "Zg=", "Zg===", "Zm8", "Zm9vY", "=", "==", "===", "====", "Z===", "=Zg=", "Zg==Zg==", "Zm=v",
          "Zm9v\n", "Zm9v\nZm9v", " Zm9v", "Zm 9v", "Zm-_", "Zm9*", "Zm9\xc3", "data:,Zm9v",
          // Bits that are not read.
          "Zh==", "Zm9=", "//=="}) {
        CAPTURE(text);
        CHECK_FALSE(decode_base64(text));
    }
    CHECK_FALSE(decode_base64(std::string{"Zm9\0", 4}));
}

TEST_CASE("base64 is written as it is read", "[base][base64]")
{
    CHECK(encode_base64("").empty());
    CHECK(encode_base64("f") == "Zg==");
    CHECK(encode_base64("fo") == "Zm8=");
    CHECK(encode_base64("foo") == "Zm9v");
    CHECK(encode_base64(std::string{"\0\1\2\3\xfe\xff", 6}) == "AAECA/7/");
    CHECK(encode_base64("\xfb\xff\xbf") == "+/+/");
}
