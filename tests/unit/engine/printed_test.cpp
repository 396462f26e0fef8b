// What scripts print is what Node.js prints: each line of tests/js/printed/*.js runs in both.
#include "support/command_output.hpp"
#include "support/js_worker.hpp"

#include <boost/json/parse.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>

using namespace sandboxd;
using sandboxd::test::js_worker;

namespace {

struct printed_example {
    std::string file;
    int line{0};
    std::string script;
    // Versions of Node.js that print it so; they differ.
    int first_version{0};
    int last_version{0};
};

// "//@ 20-22" opens a part of a file that these versions of Node.js are asked about, "//@ 20-" one for 20 and later
// ones that are known.
std::vector<printed_example> read_printed(const std::filesystem::path& file, int newest)
{
    std::vector<printed_example> examples;
    std::ifstream in{file};
    if (!in) throw std::runtime_error{"cannot read " + file.string()};
    int first = 0;
    int last = newest;
    int number = 0;
    for (std::string line; std::getline(in, line);) {
        ++number;
        if (line.starts_with("//@ ")) {
            const auto dash = line.find('-');
            first = std::stoi(line.substr(4, dash - 4));
            last = dash + 1 < line.size() ? std::stoi(line.substr(dash + 1)) : newest;
        }
        if (line.empty() || line.starts_with("//")) continue;
        examples.push_back(
            {.file = file.filename(), .line = number, .script = line, .first_version = first, .last_version = last});
    }
    return examples;
}

std::string everything_printed(const script::run_answer& answer)
{
    std::string text;
    for (const auto& entry : answer.console) text += entry.text + '\n';
    if (answer.status != script::run_status::ok)
        text += "Uncaught " + (answer.thrown.name.empty() ? message_of(answer) : answer.thrown.name) + '\n';
    return text;
}

// How long something took, and when an event was made, is nobody's to compare.
std::string without_durations(const std::string& text)
{
    static const std::regex duration{R"(\d+(\.\d+)?m?s\b)"};
    static const std::regex stamp{R"(timeStamp: \d+(\.\d+)?)"};
    return std::regex_replace(std::regex_replace(text, duration, "#ms"), stamp, "timeStamp: #");
}

}  // namespace

TEST_CASE("what scripts print is what Node.js prints", "[js]")
{
    constexpr int newest = 22;
    const auto told = test::output_of("node --version 2>/dev/null").out;
    if (told.size() < 2 || told[0] != 'v') SKIP("there is no Node.js on PATH to compare with");
    const int version = std::stoi(told.substr(1));
    if (version > newest) SKIP("Node.js " + std::to_string(version) + " is newer than the ones that were compared");

    const std::filesystem::path folder = std::filesystem::path{SANDBOXD_JS_DATA} / "printed";
    std::vector<printed_example> examples;
    std::string command = "NODE_NO_WARNINGS=1 node '" + (folder / "by_node.mjs").string() + "'";
    for (const auto* name : {"console.js", "web.js"}) {
        std::ranges::copy(read_printed(folder / name, newest), std::back_inserter(examples));
        command += " '" + (folder / name).string() + "'";
    }
    const auto by_node = boost::json::parse(test::output_of(command).out).as_array();
    REQUIRE(by_node.size() == examples.size());

    js_worker worker;
    int compared = 0;
    for (std::size_t i = 0; i < examples.size(); ++i) {
        const auto& one = examples[i];
        if (version < one.first_version || version > one.last_version) continue;
        INFO(one.file << ":" << one.line << ": " << one.script);
        std::string node{by_node[i].as_string()};
        std::string ours = everything_printed(worker.eval(one.script));
        if (one.script.find("console.time") != std::string::npos || one.script.find("Event(") != std::string::npos) {
            node = without_durations(node);
            ours = without_durations(ours);
        }
        CHECK(ours == node);
        ++compared;
    }
    CHECK(compared >= 300);
}
