// The rooms of lib/: what lib/CMakeLists.txt says that they use is what their files include.
#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>

namespace fs = std::filesystem;

namespace {

using names = std::set<std::string>;

struct room {
    int floor{0};
    names uses;
    names reaches;  // what it uses, what that uses, and itself
};

// As the build has written them, lower ones first.
std::map<std::string, room> read_rooms()
{
    std::map<std::string, room> all;
    std::ifstream in{SANDBOXD_ROOMS};
    for (std::string line; std::getline(in, line);) {
        if (line.starts_with('#')) continue;
        std::istringstream words{line};
        room one;
        std::string name;
        words >> one.floor >> name;
        one.reaches.insert(name);
        for (std::string used; words >> used;) {
            one.uses.insert(used);
            one.reaches.insert(all.at(used).reaches.begin(), all.at(used).reaches.end());
        }
        all.emplace(name, std::move(one));
    }
    return all;
}

// The rooms that a file includes from: #include "http/uri.hpp" is from http.
names included_by(const fs::path& file)
{
    const std::string opening = "#include \"";
    names found;
    std::ifstream in{file};
    for (std::string line; std::getline(in, line);) {
        const auto slash = line.find('/');
        if (line.starts_with(opening) && slash != std::string::npos)
            found.insert(line.substr(opening.size(), slash - opening.size()));
    }
    return found;
}

}  // namespace

TEST_CASE("no include runs upward, and no room is used without one", "[house]")
{
    const auto rooms = read_rooms();
    REQUIRE(rooms.size() > 10);
    for (const auto& [name, one] : rooms) {
        names included;
        for (const auto& entry : fs::recursive_directory_iterator{fs::path{SANDBOXD_SOURCE_DIR} / "lib" / name}) {
            const auto kind = entry.path().extension();
            if (kind != ".cpp" && kind != ".hpp") continue;
            for (const auto& from : included_by(entry.path())) {
                CAPTURE(entry.path(), from);
                CHECK((one.reaches.contains(from) || !rooms.contains(from)));
                included.insert(from);
            }
        }
        for (const auto& used : one.uses) {
            CAPTURE(name, used);
            CHECK(included.contains(used));
            CHECK(rooms.at(used).floor < one.floor);
        }
    }
}

TEST_CASE("the table in lib/README.md has each room, on its floor", "[house][papers]")
{
    std::map<std::string, int> told;
    std::ifstream in{fs::path{SANDBOXD_SOURCE_DIR} / "lib/README.md"};
    for (std::string line; std::getline(in, line);) {
        std::istringstream words{line};
        std::string bar, name;
        int floor = 0;
        // | 2 | `disk` | what it is for |
        if (line.starts_with("| ") && words >> bar >> floor >> bar >> name && name.size() > 2)
            told[name.substr(1, name.size() - 2)] = floor;
    }
    std::map<std::string, int> known;
    for (const auto& [name, one] : read_rooms()) known[name] = one.floor;
    CHECK(told == known);
}

TEST_CASE("settings and limits say whose they are, and no two rooms have a file of the same vague name", "[house]")
{
    const std::regex bare{R"((struct|class) (settings|limits)\b.*)"};
    std::map<std::string, names> where;
    for (const auto& entry : fs::recursive_directory_iterator{fs::path{SANDBOXD_SOURCE_DIR} / "lib"}) {
        const auto& path = entry.path();
        if (path.extension() != ".hpp") continue;
        const auto room = path.parent_path().filename().string();
        where[path.stem().string()].insert(room);
        if (room == "config") continue;
        std::ifstream in{path};
        for (std::string line; std::getline(in, line);) {
            CAPTURE(path, line);
            CHECK_FALSE(std::regex_match(line, bare));
        }
    }
    for (const auto* const vague : {"gate", "wire", "limits", "settings", "execute", "hold"}) {
        CAPTURE(vague);
        CHECK(where[vague].size() <= 1);
    }
}
