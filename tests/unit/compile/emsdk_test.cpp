#include "compile/emsdk.hpp"

#include "support/temporary_directory.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

namespace fs = std::filesystem;
using namespace sandboxd;
using namespace sandboxd::compile;

namespace {

void make_program(const fs::path& file)
{
    fs::create_directories(file.parent_path());
    std::ofstream{file} << "#!/bin/sh\n";
    fs::permissions(file, fs::perms{0755});
}

}  // namespace

TEST_CASE("the configuration of an emsdk is read, not run", "[compile][emsdk]")
{
    struct row {
        const char* config;
        const char* node;
    };
    const row rows[] = {
        {"NODE_JS = emsdk_path + '/node/20.18.0_64bit/bin/node'\n", "/opt/emsdk/node/20.18.0_64bit/bin/node"},
        {"NODE_JS = \"/usr/bin/node\" # there\n", "/usr/bin/node"},
        {"NODE_JS='/a'\nNODE_JS='/b'\n", "/b"},
        {"NODE_JS = [emsdk_path + '/n', '--flag']", "/opt/emsdk/n"},
        {"NODE_JS = os.path.join(emsdk_path, 'node', 'bin/node')", "/opt/emsdk/node/bin/node"},
        {"NODE_JS = [os.path.join(emsdk_path, 'node')]\r\n", "/opt/emsdk/node"},
        {"# NODE_JS = '/x'\n", "-"},
        {"NODE_JS_OLD = '/x'\n", "-"},
        {"NODE_JS == '/x'\n", "-"},
        {"NODE_JS = 'node'\n", "-"},
        {"NODE_JS = which('node')\n", "-"},
        {"NODE_JS = '/a\\x2f'\n", "-"},
        {"NODE_JS = '/a\n", "-"},
        {"NODE_JS = \n", "-"},
        {"NODE_JS = [", "-"},
        {"", "-"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.config);
        CHECK(emsdk_setting(row.config, "NODE_JS", "/opt/emsdk").value_or("-") == row.node);
    }
}

TEST_CASE("an emsdk is known by what lies in it", "[compile][emsdk]")
{
    const test::temporary_directory place;
    const fs::path root = fs::path{place.path()} / "emsdk";
    const fs::path elsewhere = fs::path{place.path()} / "elsewhere";
    CHECK(read_emsdk(root.native()).has_error());
    CHECK(read_emsdk("").has_error());
    CHECK(read_emsdk("emsdk").has_error());
    CHECK(read_emsdk("/").has_error());

    make_program(root / "upstream/emscripten/emcc");
    const auto no_config = read_emsdk(root.native());
    REQUIRE(no_config.has_error());
    CHECK(no_config.error().message.find(".emscripten") != std::string::npos);
    CHECK(emsdk_of((root / "upstream/emscripten/emcc").native()) == std::nullopt);

    make_program(root / "upstream/bin/clang");
    std::ofstream{root / ".emscripten"} << "import os\nemsdk_path = os.path.dirname(os.getenv('EM_CONFIG'))\n"
                                        << "NODE_JS = '" << (elsewhere / "bin/node").native() << "'\n"
                                        << "LLVM_ROOT = emsdk_path + '/upstream/bin'\n"
                                        << "BINARYEN_ROOT = emsdk_path + '/upstream'\n";
    const auto no_node = read_emsdk(root.native());
    REQUIRE(no_node.has_error());
    CHECK(no_node.error().code == errc::unavailable);
    CHECK(no_node.error().message.find("NODE_JS") != std::string::npos);
    CHECK(no_node.error().message.find("emsdk activate") != std::string::npos);

    make_program(elsewhere / "bin/node");
    const auto found = read_emsdk(root.native() + "/");
    REQUIRE(found.has_value());
    CHECK(found->root == root.native());
    CHECK(found->emcc == (root / "upstream/emscripten/emcc").native());
    CHECK(found->config == (root / ".emscripten").native());
    CHECK(found->cache == (root / "upstream/emscripten/cache").native());
    const auto shows = [&](const fs::path& path) { return std::ranges::count(found->mounts, path.native()); };
    CHECK(shows(root) == 1);
    CHECK(shows(elsewhere / "bin/node") == 1);
    CHECK(std::ranges::count(found->tools, (root / "upstream/bin/clang").native()) == 1);

    // Through a link, too.
    fs::create_symlink(root / "upstream/emscripten/emcc", elsewhere / "emcc");
    CHECK(emsdk_of((elsewhere / "emcc").native()) == root.native());
    CHECK(emsdk_of("/usr/bin/emcc") == std::nullopt);
    CHECK(emsdk_of("/missing/upstream/emscripten/emcc") == std::nullopt);
}
