// What a job that is to run once more has made, and what others made before it.
#include "toolchain/outputs.hpp"

#include "support/files.hpp"

#include <catch2/catch_test_macros.hpp>

using namespace sandboxd::test;
using sandboxd::toolchain::outputs;

namespace {

sandboxd::jail::spec writing_to(const fs::path& out, const fs::path& src)
{
    sandboxd::jail::spec made;
    made.mounts.push_back({.source = src, .target = "/job/src"});
    made.mounts.push_back({.source = out, .target = "/job/out", .writable = true});
    return made;
}

}  // namespace

TEST_CASE("what the commands before have made stays when a job runs once more", "[toolchain]")
{
    const temporary_directory own;
    for (const auto* name : {"out", "src", "out/before"}) fs::create_directory(own / name);
    write_file(own / "out/first.o", "object");
    write_file(own / "out/before/inner", "x");
    const outputs made{writing_to(own / "out", own / "src")};

    write_file(own / "out/app.js", "half");
    write_file(own / "src/new.c", "x");
    fs::create_directory(own / "out/after");
    write_file(own / "out/after/inner", "x");
    fs::create_symlink(own / "src", own / "out/link");
    boost::asio::io_context loop;
    run(loop, made.remove_new());

    CHECK(names_in(own / "out") == std::vector<std::string>{"before", "first.o"});
    CHECK(read_file(own / "out/first.o") == "object");
    CHECK(fs::exists(own / "out/before/inner"));
    CHECK(names_in(own / "src") == std::vector<std::string>{"new.c"});
}

TEST_CASE("nothing is removed where it is not known what was there", "[toolchain]")
{
    const temporary_directory own;
    fs::create_directory(own / "src");
    const outputs made{writing_to(own / "out", own / "src")};
    fs::create_directory(own / "out");
    write_file(own / "out/first.o", "object");
    boost::asio::io_context loop;
    run(loop, made.remove_new());
    CHECK(names_in(own / "out") == std::vector<std::string>{"first.o"});
}
