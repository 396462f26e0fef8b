// Collects the files in a job's output directory.
//
// Hostile code writes that directory, so it is never trusted: a name may be a symbolic link out of the jail, a FIFO
// that blocks its opener, a hard link to another file, or a sparse file of a terabyte. A file is opened below the
// directory without following links, crossing mount points or blocking (openat2(2)), and then checked through its
// descriptor. Anything but a regular file with one name and a reasonable size is refused; the error names the file
// and the reason.
#pragma once

#include "base/errc.hpp"
#include "base/unique_fd.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace sandboxd::artifacts {

// A job's file, open for reading, not yet in the store. Its writer may still be able to change it: `store::publish`
// copies it and checks that it has `bytes` bytes.
struct collected {
    std::string name;
    unique_fd file;
    std::uint64_t bytes{};
};

struct collect_caps {
    std::size_t max_files{32};                  // names in the answer
    std::uint64_t max_bytes_each{64u << 20};    // st_size of one file
    std::uint64_t max_bytes_total{128u << 20};  // st_size of all of them together
};

// The files called `names` in the directory open as `out_dir`, in that order. Missing names are left out (the caller
// knows which it needs); other files are ignored. Errors: artifact_rejected (not a regular file, a hard link,
// unreadable, too large, too many), io.
result<std::vector<collected>> collect(int out_dir, std::span<const std::string> names, const collect_caps& caps);

}  // namespace sandboxd::artifacts
