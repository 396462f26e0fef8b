// A tree that a job left, made ours.
#include "disk/take_over.hpp"

#include "base/unique_fd.hpp"
#include "support/on_loop.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch_test_macros.hpp>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

using namespace sandboxd;
using namespace sandboxd::test;
namespace fs = std::filesystem;

TEST_CASE("take over: everything is ours, readable for all and writable for nobody else", "[artifacts]")
{
    const temporary_directory own;
    fs::create_directories(own / "tree/inner/deep");
    for (const char* name : {"tree/private", "tree/inner/program", "tree/inner/deep/open"})
        std::ofstream{own / name} << "x";
    fs::create_symlink("/etc/shadow", own / "tree/link");
    REQUIRE(::chmod((own / "tree/private").c_str(), 0600) == 0);
    REQUIRE(::chmod((own / "tree/inner/program").c_str(), 06711) == 0);
    REQUIRE(::chmod((own / "tree/inner/deep/open").c_str(), 0666) == 0);
    REQUIRE(::chmod((own / "tree/inner").c_str(), 01777) == 0);
    constexpr uid_t job = 61'999;
    const bool root = ::geteuid() == 0;
    if (root)
        for (const auto& one : fs::recursive_directory_iterator{own / "tree"})
            REQUIRE(::lchown(one.path().c_str(), job, job) == 0);

    const unique_fd parent{::open(own.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    const auto taken = on_loop(disk::take_over_in_turns(parent.get(), "tree"));
    CHECK(taken.has_value());
    struct row {
        const char* name;
        mode_t mode;
    };
    for (const auto& [name, mode] : {row{"tree", 0755}, row{"tree/private", 0644}, row{"tree/inner", 0755},
                                     row{"tree/inner/program", 0755}, row{"tree/inner/deep/open", 0644}}) {
        CAPTURE(name);
        struct stat seen{};
        REQUIRE(::lstat((own / name).c_str(), &seen) == 0);
        CHECK((seen.st_mode & 07777) == mode);
        CHECK(seen.st_uid == ::geteuid());
        CHECK(seen.st_gid == ::getegid());
    }
    struct stat link{};
    REQUIRE(::lstat((own / "tree/link").c_str(), &link) == 0);
    CHECK(S_ISLNK(link.st_mode));
    CHECK(link.st_uid == ::geteuid());
}

TEST_CASE("take over: what no package holds is refused", "[artifacts]")
{
    const temporary_directory own;
    const unique_fd parent{::open(own.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    CHECK(on_loop(disk::take_over_in_turns(parent.get(), "none")).error().code == errc::io);
    fs::create_directory(own / "pipes");
    REQUIRE(::mkfifo((own / "pipes/fifo").c_str(), 0600) == 0);
    CHECK(on_loop(disk::take_over_in_turns(parent.get(), "pipes")).error().code == errc::io);
    std::string deep = own / "deep";
    for (int level = 0; level < 70; ++level) deep += "/d";
    fs::create_directories(deep);
    CHECK(on_loop(disk::take_over_in_turns(parent.get(), "deep")).error().code == errc::io);
    fs::create_symlink("deep", own / "link");
    CHECK(on_loop(disk::take_over_in_turns(parent.get(), "link")).error().code == errc::io);
}
