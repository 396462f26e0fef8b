#include "api/media_type.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <string_view>
#include <vector>

using namespace sandboxd;
using api::is_json;

TEST_CASE("JSON is known by its media type, and never by none", "[api][media_type]")
{
    for (const auto* good : {"application/json", "Application/JSON", "application/json;charset=utf-8",
                             "application/json ; charset=utf-8", "application/json\t"}) {
        CAPTURE(good);
        CHECK(is_json(good));
    }
    for (const auto* bad : {"", "text/plain", "application/jsonx", "application/json-patch+json", "application",
                            "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ";application/json",
                            " ", "application/json,text/plain", "text/json"}) {
        CAPTURE(bad);
        CHECK_FALSE(is_json(bad));
    }
}

TEST_CASE("a media type is not read beyond its end", "[api][media_type]")
{
    const std::string text = "applicATion/JsOnX";
    const std::vector<char> exact(text.begin(),
                                  text.end() - 1);  // AddressSanitizer sees a byte too many
    CHECK(is_json({exact.data(), exact.size()}));
}

TEST_CASE("forms are known by their media type", "[api][media_type]")
{
    CHECK(api::is_form("application/x-www-form-urlencoded"));
    CHECK(api::is_form("Application/X-WWW-form-urlencoded ; charset=utf-8"));
    CHECK_FALSE(api::is_form(""));
    CHECK_FALSE(api::is_form("application/json"));
}

TEST_CASE("the boundary of a multipart form is found, or there is none", "[api][media_type]")
{
    CHECK(api::multipart_boundary("multipart/form-data; boundary=----x-1") == "----x-1");
    CHECK(api::multipart_boundary("Multipart/Form-Data;charset=utf-8;  BOUNDARY=\"a b;c\"; x=y") == "a b;c");
    CHECK(api::multipart_boundary("multipart/form-data; boundary=" + std::string(70, 'x')).size() == 70);
    for (const std::string& none :
         {std::string{"application/json; boundary=x"}, std::string{"multipart/form-data"},
          std::string{"multipart/form-data;"}, std::string{"multipart/form-data; boundary="},
          std::string{"multipart/form-data; boundary=\"x"}, std::string{"multipart/mixed; boundary=x"},
          std::string{"multipart/form-data; xboundary=x"}, "multipart/form-data; boundary=" + std::string(71, 'x'),
          std::string{"multipart/form-data; boundary=\x01"}}) {
        CAPTURE(none);
        CHECK(api::multipart_boundary(none).empty());
    }
}
