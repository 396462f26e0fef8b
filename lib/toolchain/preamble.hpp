// The lines at the beginning of a C++ source that include system headers: parsing them takes most of a compile, and
// they are the same in many sources. Precompiled, they are read back in a moment (clang's -include-pch with
// -preamble-bytes, which is what libclang does for editors). Pure.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace sandboxd::toolchain {

// How much of a source is looked at.
inline constexpr std::size_t most_preamble_bytes = 16 * 1024;

// The bytes up to the end of the last line of a preamble: lines that are blank, comments, `#include <…>` of a header
// in the toolchain, or `#define` without a continuation, up to the last of these includes. 0: there is none. What is
// read in more than one way (a trigraph, a byte order mark, a carriage return alone, a line that goes on, a name that
// leaves its directory) ends it.
std::size_t preamble_bytes(std::string_view source);

// Whether what clang makes of a preamble depends, with these arguments, on nothing but the arguments, the preamble and
// the toolchain, and is the same for a whole source and for its parts. `args`: without the program, the source and the
// output. False for arguments that are not known here.
bool preamble_may_be_known(std::span<const std::string> args);

}  // namespace sandboxd::toolchain
