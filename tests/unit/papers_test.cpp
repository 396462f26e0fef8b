// The papers name what is there: links, files, and the configuration's keys.
#include "api/compile_request.hpp"
#include "api/execute_request.hpp"
#include "api/faas_request.hpp"
#include "api/key_request.hpp"
#include "api/sandbox_request.hpp"
#include "config/config.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace fs = std::filesystem;

namespace {

const fs::path root{SANDBOXD_SOURCE_DIR};

std::string text_of(const fs::path& file)
{
    std::ifstream in{file};
    return {std::istreambuf_iterator<char>{in}, {}};
}

std::vector<fs::path> papers()
{
    std::vector<fs::path> found{root / "README.md"};
    for (const auto* below : {".github", "app", "deploy", "lib", "tests"})
        for (const auto& entry : fs::recursive_directory_iterator{root / below})
            if (entry.path().extension() == ".md") found.push_back(entry.path());
    return found;
}

// As GitHub makes it of a heading: lower case, without punctuation, with '-' for blanks.
std::string anchor_of(const std::string& heading)
{
    std::string made;
    for (const char c : heading) {
        const auto u = static_cast<unsigned char>(c);
        if (c == ' ') made += '-';
        if (std::isalnum(u) != 0 || c == '-' || c == '_' || u >= 0x80) made += static_cast<char>(std::tolower(u));
    }
    return made;
}

std::set<std::string> anchors_of(const std::string& text)
{
    std::set<std::string> found;
    std::istringstream lines{text};
    for (std::string line; std::getline(lines, line);)
        if (line.starts_with('#')) found.insert(anchor_of(line.substr(line.find_first_not_of("# "))));
    return found;
}

std::vector<std::smatch> matches(const std::string& text, const std::regex& what)
{
    return {std::sregex_iterator{text.begin(), text.end(), what}, {}};
}

}  // namespace

TEST_CASE("every link of a paper leads somewhere", "[papers]")
{
    static const std::regex link{R"(\]\(([^)\s]+)\))"};
    REQUIRE(papers().size() >= 8);
    for (const auto& paper : papers()) {
        const auto text = text_of(paper);
        for (const auto& one : matches(text, link)) {
            const auto target = one[1].str();
            if (target.find("://") != std::string::npos) continue;
            CAPTURE(paper, target);
            const auto hash = std::min(target.find('#'), target.size());
            const auto file = hash == 0 ? paper : paper.parent_path() / target.substr(0, hash);
            CHECK(fs::exists(file));
            if (hash < target.size()) CHECK(anchors_of(text_of(file)).contains(target.substr(hash + 1)));
        }
    }
}

TEST_CASE("every file that a paper names is there, from the root or from where it is", "[papers]")
{
    static const std::regex named{R"(`((?:app|deploy|lib|tests)/[A-Za-z0-9_./-]*))"};
    for (const auto& paper : papers()) {
        const auto text = text_of(paper);
        for (const auto& one : matches(text, named)) {
            CAPTURE(paper, one[1].str());
            CHECK((fs::exists(root / one[1].str()) || fs::exists(paper.parent_path() / one[1].str())));
        }
    }
}

TEST_CASE("the API's paper has each endpoint", "[papers][api]")
{
    static const std::regex row{R"re((?:verb::\w+|any_method), "(/[^"]*)")re"};
    static const std::regex hole{R"(\{\*?\})"};
    const auto paper = text_of(root / "lib/api/README.md");
    const auto table = text_of(root / "lib/api/routes.cpp");
    const auto rows = matches(table, row);
    CHECK(rows.size() >= 30);
    for (const auto& one : rows) {
        const auto path = one[1].str();
        CAPTURE(path);
        // `/sandbox/{}/execute` is there as /sandbox/{id}/execute, /sandbox/$ID/execute, ….
        const auto written = std::regex_replace(path, hole, "[^ /]+");
        CHECK(std::regex_search(paper, std::regex{written + "(?![A-Za-z0-9_/-])"}));
    }
}

TEST_CASE("the table of keys has each key, and no other", "[papers][config]")
{
    static const std::regex code{"`([A-Za-z0-9.]+)`"};
    std::set<std::string> told;
    std::istringstream lines{text_of(root / "lib/config/README.md")};
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with("| `")) continue;
        const auto cell = line.substr(1, line.find('|', 1) - 1);
        for (const auto& one : matches(cell, code)) told.insert(one[1].str());
    }
    const auto all = sandboxd::config::all_keys();
    std::set<std::string> known;
    for (const auto& key : all) {
        // A section is told by its keys.
        const bool section = std::ranges::any_of(all, [&](const auto& one) { return one.starts_with(key + "."); });
        if (!section) known.insert(key);
    }
    for (const auto& key : known) {
        CAPTURE(key);
        CHECK(told.contains(key));
    }
    for (const auto& key : told) {
        CAPTURE(key);
        CHECK(known.contains(key));
    }
}

TEST_CASE("the API's paper names each member that a request may have, and each says what it is for", "[papers]")
{
    namespace api = sandboxd::api;
    const auto text = text_of(root / "lib/api/README.md");
    const auto check = [&](const auto& self, const std::vector<sandboxd::json_member_info>& members) -> void {
        for (const auto& one : members) {
            CAPTURE(one.name);
            // A nested member, such as auto_scale.scale_down_after_minutes, with the object that it is in, or in a
            // form.
            CHECK(std::regex_search(text, std::regex{"[`.{ ]" + std::string{one.name} + "[`?,}.:\"]"}));
            CHECK(!one.means.empty());
            self(self, one.members);
        }
    };
    const sandboxd::script::run_limits most{};
    for (const auto& members :
         {api::compile_request_members({}), api::execute_request_members(most, 1), api::continue_request_members(1),
          api::script_members(), api::sandbox_request_members({}), api::execution_request_members(),
          api::deploy_request_members({}), api::files_request_members({}), api::revision_request_members(),
          api::key_request_members()}) {
        CHECK(members.size() >= 2);
        check(check, members);
    }
}
