// The protocol between the server (lib/jail/bubblewrap.cpp) and the `sandboxd-init --build` that builds a jail of Linux
// namespaces and begins a program in it (app/init/build.cpp).
//
// The options come in a file, each word ended by NUL. They have the names, the order and the meaning of those of
// bubblewrap (bwrap(1)) that the server uses, so that one list describes the jail to both.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sandboxd::init::build {

// Written to the descriptor that `--json-status-fd` names, which only the server reads: that the program is executed
// next, and behind it when, in nanoseconds of CLOCK_MONOTONIC, which is the server's clock, too; and that this failed.
// What was not begun is the builder's failure, not the program's.
inline constexpr char begins = 'b';
inline constexpr char not_executed = 'f';

// `begins` with the time, an int64_t in the order of this machine.
inline constexpr std::size_t begins_bytes = 1 + sizeof(std::int64_t);

// The name of its processes (PR_SET_NAME, prctl(2)), by which a server knows those of an earlier one.
inline constexpr const char* process_name = "sandboxd-build";

// How its messages begin.
inline constexpr const char* speaks_as = "sandboxd-build: ";

}  // namespace sandboxd::init::build
