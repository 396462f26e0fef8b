// The preambles that were of use, in a file, so that the next server makes them before anybody asks. The file is the
// server's own. What it says is believed no more than what a job asks: it is asked again, and no more.
#pragma once

#include "base/errc.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::toolchain {

class remembered {
public:
    struct one {
        std::vector<std::string> args;  // of clang, without the program, the source and the output
        std::string text;               // the preamble
        std::int64_t uses{0};
    };

    static constexpr std::size_t most = 32;
    // Of the arguments and the text of one, as JSON; what is longer, or is no UTF-8, is not remembered.
    static constexpr std::size_t most_bytes_of_one = 24 * 1024;

    // Counts a use. Where there are too many, one with the fewest uses goes.
    void used(const std::vector<std::string>& args, std::string_view text);

    // The most used first.
    std::vector<one> all() const;

    // Reads what a server before has saved; its uses count half, so that what is out of use fades. False: there is no
    // such file, or it is not whole, and nothing is remembered.
    bool load(const std::string& path);
    // Replaces the file, which nobody else may read. Errors: internal. Blocks: less than 1 MiB.
    result<void> save(const std::string& path) const;

private:
    std::vector<one> all_;
};

}  // namespace sandboxd::toolchain
