// Waiting in a jail for the server's word, before a program begins (lib/init/hold.hpp).
#pragma once

#include "init/arguments.hpp"
#include "init/hold.hpp"

#include <unistd.h>

#include <cerrno>
#include <string_view>

namespace sandboxd::init::hold {

// Whether the program is this one, only to wait for the word before that which is named behind it.
inline bool is_asked_of(char* const* program)
{
    return program[0] == program_inside && program[1] != nullptr && program[1] == std::string_view{argument::hold} &&
           program[2] != nullptr && program[2] == std::string_view{"--"} && program[3] != nullptr;
}
inline constexpr int words_of_hold = 3;

// No other program runs in here yet, so there is nothing to hide. False: nobody needs it any more.
inline bool wait_for_word()
{
    char how = 0;
    ssize_t got = 0;
    while ((got = ::read(begin_fd_inside, &how, 1)) < 0 && errno == EINTR) {
    }
    if (got != 1 || (how == begin_with_file && ::dup2(stdin_fd_inside, 0) < 0)) return false;
    ::close(begin_fd_inside);
    ::close(stdin_fd_inside);
    return true;
}

}  // namespace sandboxd::init::hold
