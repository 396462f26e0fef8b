// What a warm jail and the `sandboxd-init --hold` in it say to each other: one byte, once, over a pipe. The server's
// side is sandboxes/warm_jail, the other app/init/main.cpp.
#pragma once

namespace sandboxd::init::hold {

// Where init finds the pipe, and the file that may become the program's standard input.
inline constexpr int begin_fd_inside = 8;
inline constexpr int stdin_fd_inside = 9;

// The byte: the program is to begin, with the standard input that is there, or with the file. Without a byte, at the
// end of the pipe, it never begins.
inline constexpr char begin = 'b';
inline constexpr char begin_with_file = 'f';

}  // namespace sandboxd::init::hold
