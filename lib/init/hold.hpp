// The protocol between the server (sandboxes/warm_jail) and the `sandboxd-init --hold` in a warm jail
// (app/init/main.cpp): one byte, once, over a pipe.
#pragma once

namespace sandboxd::init::hold {

// init's descriptors of the pipe, and of the file that may become the program's standard input.
inline constexpr int begin_fd_inside = 8;
inline constexpr int stdin_fd_inside = 9;

// The byte starts the program, with the existing standard input or with the file. If the pipe ends without a byte,
// the program never starts.
inline constexpr char begin = 'b';
inline constexpr char begin_with_file = 'f';

}  // namespace sandboxd::init::hold
