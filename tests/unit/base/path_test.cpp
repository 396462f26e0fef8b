#include "base/path.hpp"

#include "support/temporary_directory.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>

using namespace sandboxd;
namespace fs = std::filesystem;

TEST_CASE("a path lies in a directory when it is that or below it", "[base]")
{
    CHECK(lies_in("/a", "/a"));
    CHECK(lies_in("/a/b", "/a"));
    CHECK_FALSE(lies_in("/ab", "/a"));
    CHECK_FALSE(lies_in("/", "/a"));
    CHECK(lies_in("/a", "/"));
    CHECK(lies_in("/", "/"));
    CHECK_FALSE(lies_in("a", "/"));
}

TEST_CASE("a stranger's path is walked part by part to its first fault", "[base]")
{
    struct row {
        std::string path;
        std::string parts;  // those before the end or the fault, each with a blank behind it
        std::optional<path_flaw> fault;
    };
    const row rows[] = {
        {"a", "a ", std::nullopt},
        {"a/bb/ccc", "a bb ccc ", std::nullopt},
        {"...", "... ", std::nullopt},
        {"", "", path_flaw::empty},
        {std::string(9, 'a'), "", path_flaw::too_long},
        {"/a", "", path_flaw::absolute},
        {"a//b", "a ", path_flaw::empty_part},
        {"a/", "a ", path_flaw::empty_part},
        {"./a", "", path_flaw::dot_part},
        {"a/..", "a ", path_flaw::dot_part},
        {"a/bbbb", "a ", path_flaw::part_too_long},
        {"a/b/c/d", "a b c ", path_flaw::too_many_parts},
    };
    for (const auto& one : rows) {
        CAPTURE(one.path);
        path_walk walk{one.path, {.max_bytes = 8, .max_part_bytes = 3, .max_parts = 3}};
        std::string parts;
        while (const auto part = walk.next()) parts += std::string{*part} + ' ';
        CHECK(parts == one.parts);
        CHECK(walk.fault() == one.fault);
        CHECK_FALSE(walk.next().has_value());
    }
}

TEST_CASE("a flaw of a path is told with the limit that it goes beyond", "[base]")
{
    const path_limits limits{.max_bytes = 8, .max_part_bytes = 3, .max_parts = 2};
    const std::pair<const char*, const char*> cases[] = {
        {"", "is empty"},
        {"abc/abc/a", "is longer than 8 bytes"},
        {"/a", "is absolute; it must be relative"},
        {"a//b", "has an empty component"},
        {"a/../b", "has a '.' or '..' component"},
        {"abcd", "has a component longer than 3 bytes"},
        {"a/b/c", "has more than 2 components"},
    };
    for (const auto& [path, told] : cases) {
        INFO(path);
        path_walk walk{path, limits};
        while (walk.next()) continue;
        REQUIRE(walk.fault());
        CHECK(describe(*walk.fault(), limits) == told);
    }
}

TEST_CASE("a program is found in the first absolute directory that has one which fits", "[base]")
{
    const test::temporary_directory own;
    for (const char* directory : {"one", "two"}) {
        fs::create_directory(own / directory);
        std::ofstream{own / directory / "tool"} << "#!/bin/sh\n";
    }
    const auto one = (own / "one").native();
    const auto two = (own / "two").native();
    fs::permissions(own / "two/tool", fs::perms::owner_all);
    CHECK(find_program(one + ":" + two, "tool") == two + "/tool");
    CHECK(find_program("relative::" + two, "tool") == two + "/tool");
    CHECK(find_program(two, "other").empty());
    CHECK(find_program("", "tool").empty());
    fs::create_directories(own / "one/directory");
    CHECK(find_program(one, "directory") == one + "/directory");
    CHECK(find_program(one, "directory", is_program).empty());
    CHECK(find_program(two, "tool", is_program) == two + "/tool");
    CHECK(find_program(one + ":" + two, "tool", [](const std::string& file) { return fs::exists(file); }) ==
          one + "/tool");
}
