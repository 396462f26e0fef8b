#include "disk/directory.hpp"

#include "support/temporary_directory.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

using namespace sandboxd;
using namespace sandboxd::disk;
namespace fs = std::filesystem;

namespace {

struct stat status_of(const fs::path& path)
{
    struct stat seen{};
    REQUIRE(::lstat(path.c_str(), &seen) == 0);
    return seen;
}

mode_t mode_of(const fs::path& path) { return status_of(path).st_mode & 07777; }

struct with_umask {
    explicit with_umask(mode_t mode) : before{::umask(mode)} {}
    ~with_umask() { ::umask(before); }
    mode_t before;
};

constexpr gid_t group = 61'000;

}  // namespace

TEST_CASE("directories are made with their modes, whatever the umask")
{
    const test::temporary_directory root;
    const with_umask mask{GENERATE(mode_t{0}, mode_t{0022}, mode_t{0777})};
    REQUIRE(make_private_directory(root.path() / "a/b/own").has_value());
    CHECK(mode_of(root.path() / "a") == 0755);
    CHECK(mode_of(root.path() / "a/b") == 0755);
    CHECK(mode_of(root.path() / "a/b/own") == 0700);
    REQUIRE(make_directories(root.path() / "c/d/").has_value());
    CHECK(mode_of(root.path() / "c/d") == 0755);
    if (::geteuid() != 0) return;
    REQUIRE(make_private_directory(root.path() / "shared", group).has_value());
    CHECK(mode_of(root.path() / "shared") == 0710);
    CHECK(status_of(root.path() / "shared").st_gid == group);
}

TEST_CASE("a directory of ours that is wider is mended; one that others share, or own, is not")
{
    const test::temporary_directory root;
    const with_umask mask{0};
    const auto make = [&](const char* name, mode_t mode) {
        const auto path = root.path() / name;
        REQUIRE(::mkdir(path.c_str(), mode) == 0);
        REQUIRE(::chmod(path.c_str(), mode) == 0);
        return path;
    };
    const auto wide = make("wide", 0777);
    REQUIRE(make_private_directory(wide).has_value());
    CHECK(mode_of(wide) == 0700);
    const auto listed = make("listed", 0755);
    fs::create_directory_symlink(listed, root.path() / "link");
    REQUIRE(make_private_directory(root.path() / "link").has_value());
    CHECK(mode_of(listed) == 0700);
    const auto sticky = make("sticky", 01777);
    REQUIRE(make_private_directory(sticky).has_value());
    CHECK(mode_of(sticky) == 01777);
    if (::geteuid() == 0) {
        const auto foreign = make("foreign", 0755);
        REQUIRE(::chown(foreign.c_str(), 65'533, 65'533) == 0);
        REQUIRE(make_private_directory(foreign, group).has_value());
        CHECK(mode_of(foreign) == 0755);
        CHECK(status_of(foreign).st_gid == 65'533);
        // From one that nobody else got into to one with a group, and back.
        const auto own = make("own", 0700);
        REQUIRE(make_private_directory(own, group).has_value());
        CHECK(mode_of(own) == 0710);
        REQUIRE(make_private_directory(own).has_value());
        CHECK(mode_of(own) == 0700);
    }
    std::ofstream{root.path() / "file"};
    const auto refused = make_private_directory(root.path() / "file/below");
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == errc::io);
    CHECK_FALSE(make_private_directory(root.path() / "file").has_value());
}
