// Waiting in a jail for the server's word, before a program begins (lib/init/hold.hpp).
#pragma once

#include "init/arguments.hpp"
#include "init/hold.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string_view>

namespace sandboxd::init::hold {

// Whether the program is this one, only to wait for the word before that which is named behind it.
inline bool is_asked_of(char* const* program)
{
    return program[0] == program_inside && program[1] != nullptr && program[1] == std::string_view{argument::hold} &&
           program[2] != nullptr && program[2] == std::string_view{"--"} && program[3] != nullptr;
}
inline constexpr int words_of_hold = 3;

// The variable of the environment that may come with the word.
class trace_entry {
public:
    bool is_given() const { return text_[0] != '\0'; }
    // `NAME=VALUE`, as environ(7) has it.
    char* text() { return text_; }

    // False: it did not come.
    bool read()
    {
        constexpr std::size_t before = std::string_view{trace_variable}.size() + 1;
        static_assert(before + trace_bytes < sizeof text_);
        // It was written together with the byte (pipe(7)), so there is all of it.
        if (::read(begin_fd_inside, text_ + before, trace_bytes) != static_cast<ssize_t>(trace_bytes)) return false;
        std::memcpy(text_, trace_variable, before - 1);
        text_[before - 1] = '=';
        return true;
    }

private:
    char text_[80]{};
};

// No other program runs in here yet, so there is nothing to hide. False: nobody needs it any more.
inline bool wait_for_word(trace_entry& trace)
{
    char how = 0;
    ssize_t got = 0;
    while ((got = ::read(begin_fd_inside, &how, 1)) < 0 && errno == EINTR) {
    }
    if (got != 1) return false;
    const bool is_traced = how == begin_traced || how == begin_traced_with_file;
    const bool has_file = how == begin_with_file || how == begin_traced_with_file;
    if ((is_traced && !trace.read()) || (has_file && ::dup2(stdin_fd_inside, 0) < 0)) return false;
    ::close(begin_fd_inside);
    ::close(stdin_fd_inside);
    return true;
}

}  // namespace sandboxd::init::hold
