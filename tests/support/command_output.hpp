// Runs a shell command and hands back what it printed and how it ended.
#pragma once

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <stdexcept>
#include <string>

namespace sandboxd::test {

struct command_output {
    std::string out;
    int code;  // exit status; -1 after a signal
};

inline command_output output_of(const std::string& command)
{
    std::FILE* const pipe = ::popen(command.c_str(), "re");
    if (!pipe) throw std::runtime_error("popen failed");
    command_output result{};
    std::array<char, 4096> piece{};
    while (const auto got = std::fread(piece.data(), 1, piece.size(), pipe)) result.out.append(piece.data(), got);
    const int status = ::pclose(pipe);
    result.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return result;
}

}  // namespace sandboxd::test
