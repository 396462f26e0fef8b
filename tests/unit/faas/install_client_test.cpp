#include "faas/install_client.hpp"

#include "support/temporary_directory.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

using namespace sandboxd;
using faas::find_install_client;
namespace fs = std::filesystem;

TEST_CASE("packages are installed by Bun, by the npm that is named, or by the first on the path", "[faas]")
{
    const test::temporary_directory own;
    const auto folder = fs::canonical(own.path()) / "lib/npm";
    fs::create_directories(folder / "bin");
    fs::create_directories(own / "bin");
    std::ofstream{folder / "bin/npm-cli.js"} << "#!/usr/bin/env node\n";
    fs::permissions(folder / "bin/npm-cli.js", fs::perms::owner_all);
    fs::create_symlink(folder / "bin/npm-cli.js", own / "bin/npm");
    const auto path = "relative:" + (own / "bin").native();
    const auto npm = (folder / "bin/npm-cli.js").native();

    const auto bun = find_install_client({.node = "/host/node", .bun = "/host/bun"}, {}, path);
    REQUIRE(bun.has_value());
    CHECK(bun->bun);
    CHECK(bun->argv == std::vector<std::string>{"/runtime/bun"});

    for (const auto& named : {std::string{}, (own / "bin/npm").native()}) {
        const auto found =
            find_install_client({.node = "/host/node", .bun = named.empty() ? std::string{} : "/host/bun"}, named,
                                named.empty() ? path : "");
        REQUIRE(found.has_value());
        CHECK_FALSE(found->bun);
        CHECK(found->argv == std::vector<std::string>{"/runtime/node", npm});
        CHECK(found->version.starts_with(npm + " 20 "));
        CHECK(std::ranges::find(found->mounts, folder.native(), &jail::mount::source) != found->mounts.end());
    }

    CHECK_FALSE(find_install_client({.node = "/host/node"}, {}, "").has_value());
    CHECK_FALSE(find_install_client({}, {}, path).has_value());
    CHECK_FALSE(find_install_client({.node = "/host/node", .bun = "/host/bun"}, "/nowhere/npm", path).has_value());
}
