#include "api/web_page.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

using namespace sandboxd;
using api::admit_page;
using api::host_names;
using api::page_marks;
using http::verb;

TEST_CASE("a page of another origin may not have anything done", "[api][web_page]")
{
    struct row {
        std::optional<std::string_view> origin;
        std::string_view site;
        bool admitted;
        std::vector<std::string> origins{};
    };
    const std::vector<std::string> listed{"https://ide.example"};
    const row rows[] = {
        // No browser, or one whose user typed the address.
        {std::nullopt, "", true},
        {std::nullopt, "none", true},
        {std::nullopt, "same-origin", true},
        // This server's own page, behind a proxy that speaks TLS as well.
        {"http://localhost:8080", "same-origin", true},
        {"https://LOCALHOST:8080", "", true},
        {"http://localhost:8080", "cross-site", false},
        {"http://localhost:8080", "Cross-Site", false},
        {"http://localhost:8080", "same-site", false},
        {"http://localhost:8080", "nonsense", false},
        {"http://localhost:8081", "same-site", false},
        {"http://localhost", "", false},
        {"http://localhost:8080.evil.example", "", false},
        {"http://evil.example", "cross-site", false},
        {"http://evil.example", "", false},
        {"null", "", false},
        {"", "", false},
        {"localhost:8080", "", false},
        {"chrome-extension://localhost:8080", "", false},
        {"ftp://localhost:8080", "same-origin", false},
        {"://localhost:8080", "", false},
        {std::nullopt, "cross-site", false},
        {std::nullopt, "same-site", false},
        {std::nullopt, "nonsense", false},
        {"https://ide.example", "cross-site", true, listed},
        {"https://ide.example.evil", "cross-site", false, listed},
        {"http://ide.example", "cross-site", false, listed},
        {"null", "cross-site", false, listed},
        {"https://any.example", "cross-site", true, {"*"}},
    };
    for (const auto& one : rows) {
        CAPTURE(one.origin.value_or("(none)"), one.site);
        page_marks marks{.method = verb::post, .origin = one.origin, .fetch_site = one.site, .host = "localhost:8080"};
        for (const auto method : {verb::post, verb::put, verb::delete_, verb::patch}) {
            marks.method = method;
            const auto said = admit_page(marks, one.origins);
            CHECK(said.has_value() == one.admitted);
            if (!said) {
                CHECK(said.error().code == errc::forbidden);
                CHECK(said.error().message.find("http.apiCorsOrigins") != std::string::npos);
            }
        }
        // What changes nothing may be asked for; what may be read, CORS decides.
        for (const auto method : {verb::get, verb::head, verb::options}) {
            marks.method = method;
            CHECK(admit_page(marks, one.origins).has_value());
        }
    }
}

TEST_CASE("a server on loopback alone answers to loopback's names", "[api][web_page]")
{
    const host_names automatic{{}, true, "apps.example"};
    for (const auto* own : {"", "localhost", "LOCALHOST:8080", "localhost.", "a.localhost", "127.0.0.1", "127.0.0.1:80",
                            "127.9.9.9", "[::1]", "[::1]:8080", "apps.example", "x.apps.example:8080"}) {
        CAPTURE(own);
        CHECK(automatic.admit(own).has_value());
    }
    for (const auto* foreign :
         {"evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "xlocalhost", "127.1", "0.0.0.0",
          "127.256.0.1", "127.0.0.1000", "[::2]", "192.0.2.1", "evilapps.example"}) {
        CAPTURE(foreign);
        const auto said = automatic.admit(foreign);
        REQUIRE_FALSE(said.has_value());
        CHECK(said.error().code == errc::misdirected_request);
        CHECK(said.error().message.find("http.allowedHosts") != std::string::npos);
    }
    CHECK(automatic.admit("127.0.0.1@evil").error().code == errc::invalid_request);
}

TEST_CASE("a server answers to the names that it is told, and elsewhere to every name", "[api][web_page]")
{
    const host_names known{{}, true, "", "https://Code.example:8443/api"};
    CHECK(known.admit("code.example").has_value());
    CHECK(known.admit("code.example:8443").has_value());
    CHECK(known.admit("localhost").has_value());
    CHECK(!known.admit("other.example").has_value());
    CHECK(!known.admit("x.code.example").has_value());
    const host_names everywhere{{}, false, ""};
    CHECK(everywhere.admit("whatever.example").has_value());
    const host_names told{{"Play.Example", "*.lab.example", "[::1]"}, true, ""};
    for (const auto* own : {"play.example", "play.example:443", "a.lab.example", "a.b.lab.example", "[::1]:1"})
        CHECK(told.admit(own).has_value());
    for (const auto* foreign : {"localhost", "127.0.0.1", "lab.example", "xlab.example", "a.play.example"})
        CHECK_FALSE(told.admit(foreign).has_value());
    CHECK(host_names{{"*"}, true, ""}.admit("evil.example").has_value());
}
