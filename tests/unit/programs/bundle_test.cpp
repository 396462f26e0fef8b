#include "programs/bundle.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace sandboxd;
using namespace sandboxd::programs;

TEST_CASE("a description and files come out of a bundle as they went in", "[programs]")
{
    const std::string bytes{"\0\xff,:3\n", 6};
    const std::vector<program_file> files{{"a.js", "1 + 2"}, {"empty", ""}, {"dir/b", bytes}};
    const auto packed = pack(R"({"id": 1})", files);
    CHECK(packed == std::string{R"(9:{"id": 1},4:a.js,5:1 + 2,5:empty,0:,5:dir/b,6:)"} + bytes + ",");
    CHECK(packed.size() <= packed_size(9 + 4 + 5 + 5 + 5 + 6, 3));
    const auto read = unpack(packed, 3);
    REQUIRE(read.has_value());
    CHECK(read->about == R"({"id": 1})");
    REQUIRE(read->files.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
        CHECK(read->files[i].path == files[i].path);
        CHECK(read->files[i].content == files[i].content);
    }
    CHECK(unpack(pack("", {}), 0)->about.empty());
}

TEST_CASE("what is no bundle is refused, whatever it is", "[programs]")
{
    for (const std::string wrong :
         {"", "a", "1", "1:", "1:a", "1:ab", "2:a,", "-1:a,", "01:a,", "1 :a,", ":a,", "1:a,1:b,", "1:a,1:b,1:c",
          "1:a,1:b,2:c,", "18446744073709551615:a,", "99999999999999999999999:a,", "1:a,x"}) {
        CAPTURE(wrong);
        CHECK(unpack(wrong, 10).error().code == errc::invalid_request);
    }
    const auto packed = pack("a", {{"b", "c"}, {"d", "e"}});
    CHECK(unpack(packed, 2).has_value());
    CHECK(unpack(packed, 1).error().message == "more than 1 files");
    // No part of it is one of another program.
    for (std::size_t cut = 0; cut < packed.size(); ++cut) {
        const auto part = unpack(packed.substr(0, cut), 2);
        if (part) CHECK(part->files.size() < 2);
    }
}
