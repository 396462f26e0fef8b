// The rights in Redis that lib/cluster/README.md says servers need: its line of an ACL, as arguments of a Redis server.
#pragma once

#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace sandboxd::test {

// For the user `sandboxd` with this password.
inline std::vector<std::string> rights_of_paper(const std::string& password)
{
    const std::string paper = SANDBOXD_SOURCE_DIR "/lib/cluster/README.md";
    std::ifstream in{paper};
    std::vector<std::string> found;
    for (std::string line; std::getline(in, line);) {
        if (!line.starts_with("user sandboxd ")) continue;
        if (!found.empty()) throw std::runtime_error(paper + " has two lines of an ACL");
        std::istringstream words{line};
        for (std::string word; words >> word;) found.push_back(word == ">PASSWORD" ? ">" + password : word);
        found.front() = "--user";
    }
    if (found.empty()) throw std::runtime_error(paper + " has no line of an ACL");
    return found;
}

}  // namespace sandboxd::test
