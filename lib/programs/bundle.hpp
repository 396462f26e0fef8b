// A description and a program's files as one run of bytes, to be kept elsewhere and read again: netstrings
// (https://cr.yp.to/proto/netstrings.txt), first the description, then the path and the content of each file. Pure.
#pragma once

#include "base/errc.hpp"
#include "programs/program_files.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::programs {

struct bundle {
    std::string about;
    std::vector<program_file> files;
};

std::string pack(std::string_view about, const std::vector<program_file>& files);

// The upper bound of what pack() makes of so many bytes (description, paths and contents) in so many files.
std::size_t packed_size(std::size_t bytes, std::size_t files);

// Neither the description nor the files are looked at. Errors: invalid_request (not what pack() makes, or more files).
result<bundle> unpack(std::string_view bytes, std::size_t most_files);

}  // namespace sandboxd::programs
