// A toolchain as emscripten's installer leaves it, put together from the distribution's packages: found, shown to the
// jail, and its cache filled before it is frozen.
#include "support/http_client.hpp"
#include "support/server_process.hpp"
#include "support/temporary_directory.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <filesystem>
#include <fstream>
#include <string>

namespace fs = std::filesystem;
namespace json = boost::json;
using namespace sandboxd::test;

namespace {

const fs::path debian{"/usr/share/emscripten"};
// Not in the cache of this emsdk, so that emcc has to make it.
constexpr const char* lazy_library = "libnoexit.a";

std::string first_line(const fs::path& file, const std::string& key)
{
    std::ifstream in{file};
    for (std::string line; std::getline(in, line);)
        if (line.starts_with(key)) return line + '\n';
    return {};
}

// Links to what is large, copies of the programs: Python takes the place of a script for that of its siblings.
void put_together(const fs::path& root)
{
    const auto emscripten = root / "upstream/emscripten";
    fs::create_directories(emscripten);
    for (const auto& entry : fs::directory_iterator{debian}) {
        const auto name = entry.path().filename().native();
        if (name == "cache" || name == "wrapper" || name == ".emscripten" || name == "__pycache__") continue;
        if (entry.path().extension() == ".py" || name == "tools" || name.ends_with(".txt"))
            fs::copy(entry.path(), emscripten / name, fs::copy_options::recursive);
        else
            fs::create_directory_symlink(entry.path(), emscripten / name);
    }
    for (const char* driver : {"emcc", "em++"}) {
        std::ofstream{emscripten / driver} << "#!/bin/sh\nexec \"${EMSDK_PYTHON:-python3}\" \"$0.py\" \"$@\"\n";
        fs::permissions(emscripten / driver, fs::perms{0755});
    }
    // The cache: a directory of its own, with the libraries linked but for one.
    const auto sysroot = emscripten / "cache/sysroot";
    for (auto entry = fs::recursive_directory_iterator{debian / "cache"}; entry != fs::recursive_directory_iterator{};
         ++entry) {
        const auto target = emscripten / "cache" / fs::relative(entry->path(), debian / "cache");
        if (target == sysroot / "include") {
            fs::create_directory_symlink(entry->path(), target);
            entry.disable_recursion_pending();
        } else if (entry->is_directory()) {
            fs::create_directories(target);
        } else if (target.filename() != lazy_library) {
            fs::create_directories(target.parent_path());
            fs::create_symlink(entry->path(), target);
        }
    }
    fs::create_directories(root / "upstream/bin");
    for (const auto& entry : fs::directory_iterator{"/usr/bin"}) {
        const auto name = entry.path().filename().native();
        if (name.starts_with("clang") || name.starts_with("llvm-") || name.starts_with("llc") ||
            name.starts_with("wasm-") || name.starts_with("lld"))
            fs::create_symlink(entry.path(), root / "upstream/bin" / name);
    }
    // binaryen's programs are looked for in its root's bin.
    fs::create_directories(root / "node/20.0.0_64bit/bin");
    fs::create_symlink("/usr/bin/node", root / "node/20.0.0_64bit/bin/node");
    const auto original = debian / ".emscripten";
    std::ofstream{root / ".emscripten"}
        << "import os\nemsdk_path = os.path.dirname(os.getenv('EM_CONFIG')).replace('\\\\', '/')\n"
        << "NODE_JS = emsdk_path + '/node/20.0.0_64bit/bin/node'\n"
        << "LLVM_ROOT = emsdk_path + '/upstream/bin'\nBINARYEN_ROOT = emsdk_path + '/upstream'\n"
        << "EMSCRIPTEN_ROOT = emsdk_path + '/upstream/emscripten'\n"
        // Of Debian's packaging: its programs have versions in their names.
        << first_line(original, "LLVM_ADD_VERSION") << first_line(original, "CLANG_ADD_VERSION");
    std::ofstream{root / "emsdk_env.sh"} << "export EMSDK=" << root.native() << "\n";
}

void check_it_compiles(server_process& server, const std::string& version)
{
    http_client client{server};
    CHECK(std::string{client.get("/version").json().at("toolchain").at("emcc").as_string()} == version);
    const auto built = client.post("/compile", {{"code", "#include <emscripten/bind.h>\nint main() { return 0; }\n"},
                                                {"type", "cpp"},
                                                {"args", json::array{"-O1", "-lembind", "-sEXIT_RUNTIME=0"}}});
    INFO(built.body);
    CHECK(built.status == 200);
    CHECK(server.clean());
}

}  // namespace

TEST_CASE("an emsdk is found, shown to the jail, and its cache filled before it is frozen", "[compile][emsdk]")
{
    std::ifstream version_file{debian / "emscripten-version.txt"};
    std::string version;
    std::getline(version_file, version);
    if (version.empty()) SKIP("there is no " << debian << " here to put an emsdk together from");
    std::erase(version, '"');

    const temporary_directory place;
    const auto root = fs::path{place.path()} / "my emsdk";
    put_together(root);
    const auto library = root / "upstream/emscripten/cache/sysroot/lib/wasm32-emscripten" / lazy_library;
    REQUIRE_FALSE(fs::exists(library));
    {
        server_process server{{.config = R"("toolchain": {"emsdk": ")" + root.native() + R"("})"}};
        CHECK(fs::exists(library));
        check_it_compiles(server, version);
    }
    // As who has sourced emsdk_env.sh starts it; and with its emcc on PATH alone.
    {
        server_process server{{.env = {{"EMSDK", root.native()}}}};
        check_it_compiles(server, version);
        CHECK(server.log().find("warming") == std::string::npos);  // once
    }
    {
        server_process server{{.env = {{"PATH", (root / "upstream/emscripten").native() + ":/usr/bin:/bin"}}}};
        check_it_compiles(server, version);
    }
    // One that is not there is said to be missing, with the cure.
    server_process server{{.config = R"("toolchain": {"emsdk": "/nowhere/emsdk"})", .wait_ready = false}};
    http_client client{server};
    CHECK(client.post("/compile", {{"code", "int main(void) { return 0; }"}}).status == 503);
    CHECK(client.get("/readyz").body.find("emsdk install") != std::string::npos);
}
