// Configurations that no server starts with.
#pragma once

#include "support/server_process.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::test {

struct refused_config {
    std::string members;  // without the braces, and without a toolchain
    const char* says;     // what the message has
};

// Tries each, also with --check-config. `secret`: what no message may have.
inline void check_refused(std::span<const refused_config> rows, std::string_view secret)
{
    const temporary_directory here;
    for (const auto& one : rows) {
        CAPTURE(one.members);
        std::ofstream{here / "config.json"} << "{" << one.members << ", " << no_toolchain << "}";
        for (const bool check : {true, false}) {
            std::vector<std::string> words{"--config",    here / "config.json", "--addr",
                                           "127.0.0.1:0", "--working-dir",      here / "work"};
            if (check) words.emplace_back("--check-config");
            const auto ran = run_sandboxd(words);
            CAPTURE(check, ran.out, ran.err);
            CHECK(ran.end.exited);
            CHECK(ran.end.code != 0);
            CHECK((ran.out + ran.err).find(one.says) != std::string::npos);
            CHECK((ran.out + ran.err).find(secret) == std::string::npos);
        }
    }
}

}  // namespace sandboxd::test
