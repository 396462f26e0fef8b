// Which Python a driver starts, by the shapes that emcc's drivers have.
#include "support/temporary_directory.hpp"
#include "toolchain/warm_way.hpp"

#include <catch2/catch_test_macros.hpp>

#include <filesystem>
#include <fstream>
#include <string>

namespace fs = std::filesystem;
using namespace sandboxd;
using sandboxd::toolchain::key_of;

namespace {

// A toolchain's files, without anything in them but the drivers.
struct toolchain_files {
    void write(const fs::path& name, const std::string& text) const
    {
        fs::create_directories((place.path() / name).parent_path());
        std::ofstream{place.path() / name} << text;
        fs::permissions(place.path() / name, fs::perms{0755});
    }
    void write_scripts() const
    {
        for (const char* name : {"share/emscripten/emcc.py", "share/emscripten/em++.py"}) write(name, "");
    }
    void link_drivers() const
    {
        fs::create_directories(place.path() / "bin");
        for (const char* name : {"bin/emcc", "bin/em++"})
            fs::create_symlink("../share/emscripten/wrapper", place.path() / name);
    }
    std::string scripts() const { return (place.path() / "share/emscripten").native(); }
    std::optional<toolchain::kit_key> key(const std::string& driver, const std::string& variable = "LC_ALL") const
    {
        jail::spec what;
        what.argv = {(place.path() / driver).native(), "-c", "main.c"};
        what.env = {{"EMSDK_PYTHON", "/usr/bin/python3"}, {variable, "C"}};
        return key_of(what);
    }

    test::temporary_directory place;
};

constexpr const char* beside =
    "#!/bin/sh\nif [ -z \"$PYTHON\" ]; then\n  PYTHON=$EMSDK_PYTHON\nfi\n"
    "exec \"$PYTHON\" -E \"$0.py\" \"$@\"\n";

}  // namespace

TEST_CASE("the drivers of an emsdk and of Debian are known", "[toolchain]")
{
    const toolchain_files files;
    files.write_scripts();

    // An emsdk's lie beside their scripts.
    files.write("share/emscripten/emcc", beside);
    files.write("share/emscripten/em++", beside);
    const auto of_emsdk = files.key("share/emscripten/em++");
    REQUIRE(of_emsdk);
    CHECK(of_emsdk->directory == files.scripts());
    CHECK(of_emsdk->python == std::vector<std::string>{"/usr/bin/python3", "-E"});
    for (const char* variable : {"PYTHON", "_EMCC_CCACHE"}) CHECK_FALSE(files.key("share/emscripten/em++", variable));

    files.link_drivers();
    // Debian 13's start such ones.
    files.write("share/emscripten/wrapper", "#!/bin/sh\n\nset -eu\n\nBASENAME=$(basename \"$0\")\n\nexec \"" +
                                                files.scripts() + "/$BASENAME\" \"$@\"\n");
    const auto of_trixie = files.key("bin/emcc");
    REQUIRE(of_trixie);
    CHECK(of_trixie->directory == files.scripts());
    CHECK(of_trixie->python == of_emsdk->python);

    // Debian 12's start Python.
    files.write("share/emscripten/wrapper",
                "#!/bin/sh\n\nset -eu\n\nBASENAME=$(basename \"$0\")\n\n"
                "exec \"${EMSDK_PYTHON:-python3}\" \"" +
                    files.scripts() + "/$BASENAME.py\" \"$@\"\n");
    const auto of_bookworm = files.key("bin/em++");
    REQUIRE(of_bookworm);
    CHECK(of_bookworm->directory == files.scripts());
    CHECK(of_bookworm->python == std::vector<std::string>{"/usr/bin/python3"});
}

TEST_CASE("a driver of another shape runs as it is", "[toolchain]")
{
    const toolchain_files files;
    files.write_scripts();
    files.link_drivers();
    files.write("share/emscripten/wrapper", "#!/bin/sh\nexec /elsewhere/emcc \"$@\"\n");
    CHECK_FALSE(files.key("bin/emcc"));
    // Its $0 is not where the scripts are.
    files.write("share/emscripten/wrapper", beside);
    CHECK_FALSE(files.key("bin/emcc"));
    // It starts what is none.
    files.write("share/emscripten/wrapper", "#!/bin/sh\nexec \"" + files.scripts() + "/$BASENAME\" \"$@\"\n");
    files.write("share/emscripten/emcc", "#!/bin/sh\nexec /elsewhere/emcc \"$@\"\n");
    CHECK_FALSE(files.key("bin/emcc"));
    CHECK_FALSE(files.key("bin/emar"));
}
