// What the store keeps of an answer comes back as it was.
#include "compile/record.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace sandboxd;
using namespace sandboxd::compile;

TEST_CASE("an answer survives its record", "[compile][record]")
{
    answer no;
    no.ok = false;
    no.code = errc::compile_error;
    no.error = "for people\n";
    no.log = "as printed\n";
    no.diagnostics.truncated = true;
    no.diagnostics.items.push_back({.file = "/usr/include/x.h",
                                    .line = 3,
                                    .column = 7,
                                    .message = "bad",
                                    .column_utf16 = 6,
                                    .notes = {{{"gr\xc3\xb6\xc3\x9f\x65.c", 1, 2, 3}, "requested here"}},
                                    .origin = place{"gr\xc3\xb6\xc3\x9f\x65.c", 1, 2, 3}});
    no.diagnostics.items.push_back({"", 0, 0, severity::note, "no place"});

    const auto back = from_record(to_record(no));
    REQUIRE(back.has_value());
    CHECK_FALSE(back->ok);
    CHECK(back->code == errc::compile_error);
    CHECK(back->error == no.error);
    CHECK(back->log == no.log);
    CHECK(back->diagnostics.truncated);
    CHECK(back->diagnostics.items == no.diagnostics.items);
}

TEST_CASE("a record of another version is none", "[compile][record]")
{
    for (const char* text :
         {"", "{}", "[]", R"({"version":1,"ok":true,"log":"","diagnostics":[],"diagnosticsTruncated":false})",
          R"({"version":2,"ok":true,"error":"","log":"","diagnostics":[{}],"diagnosticsTruncated":false})"}) {
        CAPTURE(text);
        CHECK(from_record(text) == std::nullopt);
    }
}
