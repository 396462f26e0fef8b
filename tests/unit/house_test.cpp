// The rooms of lib/: what lib/CMakeLists.txt says that they use is what their files include.
#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

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

bool is_of_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// Without comments and texts.
std::string code_of(const fs::path& file)
{
    std::ifstream in{file};
    const std::string all{std::istreambuf_iterator<char>{in}, {}};
    std::string code;
    for (std::size_t at = 0; at < all.size(); ++at) {
        if (all.compare(at, 2, "//") == 0) at = std::min(all.find('\n', at), all.size() - 1);
        const char c = all[at];
        if (c == '"' && !code.empty() && code.back() == 'R') {
            const auto open = all.find('(', at);
            const auto end = ")" + all.substr(at + 1, open - at - 1) + "\"";
            at = all.find(end, open) + end.size() - 1;
        } else if (c == '"' || (c == '\'' && (code.empty() || !is_of_word(code.back())))) {
            while (all[++at] != c)
                if (all[at] == '\\') ++at;
        } else {
            code += c;
        }
    }
    return code;
}

struct source {
    std::vector<std::string> includes;  // as they are written
    names offers;                       // types, not within others
    names defines;                      // all types
    names knows;                        // all that it declares itself, if only as a name
    names uses;                         // as types
};

// Names of one word are left out: they are variables' as often.
source read_source(const fs::path& file)
{
    source is;
    std::ifstream in{file};
    const std::string opening = "#include \"";
    for (std::string line; std::getline(in, line);)
        if (line.starts_with(opening))
            is.includes.push_back(line.substr(opening.size(), line.find('"', opening.size()) - opening.size()));
    const auto code = code_of(file);
    std::string before;
    for (std::size_t at = 0; at < code.size();) {
        if (!is_of_word(code[at])) {
            ++at;
            continue;
        }
        const auto begin = at;
        while (at < code.size() && is_of_word(code[at])) ++at;
        const auto word = code.substr(begin, at - begin);
        const bool declared = before == "class" || before == "struct" || before == "using" || before == "typename" ||
                              before == "namespace";
        const auto line = code.rfind('\n', begin) + 1;
        const auto rest = code.substr(at, code.find('\n', at) - at);
        const bool for_others = line + before.size() + 1 == begin || code.compare(line, 11, "enum class ") == 0;
        before = word;
        if (word.find('_') == std::string::npos) continue;
        if (declared) is.knows.insert(word);
        if (declared && !rest.starts_with(';')) is.defines.insert(word);
        if (declared && for_others && !rest.starts_with(';')) is.offers.insert(word);
        const bool member = begin > 0 && (code[begin - 1] == '.' || code[begin - 1] == '>');
        const bool type = rest.starts_with("::") || rest.starts_with('&') || rest.starts_with('*') ||
                          rest.starts_with('>') || (rest.size() > 1 && rest[0] == ' ' && is_of_word(rest[1]));
        if (!declared && !member && type) is.uses.insert(word);
    }
    return is;
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

// Where rooms are one translation unit, another file's #include hides one that is missing.
TEST_CASE("each file includes, if only through others, the header of each type that it names", "[house]")
{
    const fs::path root{SANDBOXD_SOURCE_DIR};
    std::map<fs::path, source> all;
    for (const auto* const base : {"lib", "app"})
        for (const auto& entry : fs::recursive_directory_iterator{root / base}) {
            const auto kind = entry.path().extension();
            if (kind == ".cpp" || kind == ".hpp") all.emplace(entry.path(), read_source(entry.path()));
        }
    names offered;
    for (const auto& [path, is] : all)
        if (path.extension() == ".hpp") offered.insert(is.offers.begin(), is.offers.end());
    REQUIRE(offered.size() > 200);
    for (const auto& [path, is] : all) {
        std::set<fs::path> reached{path};
        for (std::vector<fs::path> waiting{path}; !waiting.empty();) {
            const auto from = waiting.back();
            waiting.pop_back();
            for (const auto& name : all.at(from).includes)
                for (const auto& to : {from.parent_path() / name, root / "lib" / name, root / "app" / name})
                    if (all.contains(to) && reached.insert(to).second) waiting.push_back(to);
        }
        for (const auto& name : is.uses) {
            if (!offered.contains(name) || is.knows.contains(name)) continue;
            CAPTURE(path, name);
            CHECK(std::ranges::any_of(reached, [&](const auto& file) { return all.at(file).defines.contains(name); }));
        }
    }
}
