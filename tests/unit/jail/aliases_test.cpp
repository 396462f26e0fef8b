// Which mounts a dropped uid can reach, and what is done about the others.
#include "jail/aliases.hpp"

#include <catch2/catch_test_macros.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

using namespace sandboxd;

namespace {

constexpr process::identity nobody{61'000, 61'000};

struct tree {
    tree()
    {
        REQUIRE(::mkdtemp(path.data()) != nullptr);
        path = std::filesystem::canonical(path);
        REQUIRE(::chmod(path.c_str(), 0755) == 0);
        for (const char* name : {"/open", "/closed", "/closed/job", "/open/job"})
            REQUIRE(::mkdir((path + name).c_str(), 0755) == 0);
        REQUIRE(::symlink("closed/job", (path + "/link").c_str()) == 0);
        REQUIRE(::chmod((path + "/closed").c_str(), 0700) == 0);
    }
    ~tree() { std::filesystem::remove_all(path); }
    std::string path = "/tmp/sandboxd-aliases-XXXXXX";
};

}  // namespace

TEST_CASE("reachable is judged by the directories above, not by the thing itself", "[jail]")
{
    const tree t;
    CHECK(jail::reachable("/", nobody));
    CHECK(jail::reachable("/usr", nobody));
    CHECK(jail::reachable(t.path + "/open/job", nobody));
    CHECK(jail::reachable(t.path + "/closed", nobody));
    CHECK_FALSE(jail::reachable(t.path + "/closed/job", nobody));
    CHECK_FALSE(jail::reachable(t.path + "/missing/job", nobody));
    CHECK(jail::reachable(t.path + "/closed/job", {::geteuid(), ::getegid()}));
    // The owner's and the group's bits count for them, even when others may more.
    REQUIRE(::chmod((t.path + "/closed").c_str(), 0077) == 0);
    CHECK_FALSE(jail::reachable(t.path + "/closed/job", {::geteuid(), ::getegid()}));
    CHECK(jail::reachable(t.path + "/closed/job", nobody));
    REQUIRE(::chmod((t.path + "/closed").c_str(), 0707) == 0);
    CHECK_FALSE(jail::reachable(t.path + "/closed/job", {61'000, ::getegid()}));
    CHECK(jail::reachable(t.path + "/closed/job", nobody));
}

TEST_CASE("only what cannot be reached gets another name", "[jail]")
{
    const tree t;
    jail::spec what;
    what.mounts = {{"/usr", "/usr"},
                   {t.path + "/missing", "/missing", false, true},
                   {t.path + "/closed/job", "/job", true},
                   {t.path + "/open/job", "/open"},
                   {t.path + "/link", "/link"}};
    const auto aliases = jail::prepare_sources(what, nobody, "/usr/bin/bwrap");
    REQUIRE(aliases.has_value());
    REQUIRE(aliases->has_value());
    const std::string place = (*aliases)->directory;
    CHECK(place == "/mnt");
    CHECK((*aliases)->sources == std::vector<std::string>{t.path + "/closed/job", t.path + "/closed/job"});
    CHECK(what.mounts == std::vector<jail::mount>{{"/usr", "/usr"},
                                                  {place + "/0", "/job", true},
                                                  {t.path + "/open/job", "/open"},
                                                  {place + "/1", "/link"}});
}

TEST_CASE("nothing is renamed for a server that reaches everything", "[jail]")
{
    const tree t;
    jail::spec what;
    what.mounts = {{t.path + "/closed/job", "/job", true}, {"/usr/", "/usr"}};
    const auto aliases = jail::prepare_sources(what, std::nullopt, "/usr/bin/bwrap");
    REQUIRE(aliases.has_value());
    CHECK_FALSE(aliases->has_value());
    CHECK(what.mounts == std::vector<jail::mount>{{t.path + "/closed/job", "/job", true}, {"/usr", "/usr"}});
}

TEST_CASE("a job with a uid of its own has a place for its devices, also where all can be reached", "[jail]")
{
    jail::spec what;
    what.mounts = {{"/usr", "/usr"}};
    const auto own = jail::prepare_sources(what, nobody, "/usr/bin/bwrap", {}, true);
    REQUIRE(own.has_value());
    REQUIRE(own->has_value());
    CHECK((*own)->devices);
    CHECK((*own)->sources.empty());
    const auto servers = jail::prepare_sources(what, std::nullopt, "/usr/bin/bwrap", {}, true);
    REQUIRE(servers.has_value());
    CHECK_FALSE(servers->has_value());
}

TEST_CASE("the place for aliases hides neither the jail nor a source", "[jail]")
{
    const tree t;
    jail::spec what;
    what.mounts = {{t.path + "/closed/job", "/job"}, {"/media", "/media"}};
    const auto aliases = jail::prepare_sources(what, nobody, "/mnt/bin/bwrap");
    REQUIRE(aliases.has_value());
    REQUIRE(aliases->has_value());
    CHECK((*aliases)->directory != "/mnt");
    CHECK((*aliases)->directory != "/media");
}

TEST_CASE("a missing source is named", "[jail]")
{
    jail::spec what;
    what.mounts = {{"/nonexistent/toolchain", "/toolchain"}};
    const auto aliases = jail::prepare_sources(what, nobody, "/usr/bin/bwrap");
    REQUIRE_FALSE(aliases.has_value());
    CHECK(aliases.error().code == errc::unavailable);
    CHECK(aliases.error().message == "cannot mount /nonexistent/toolchain: No such file or directory");
}
