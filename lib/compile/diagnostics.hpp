// What the compiler said, as data: clang's, emcc's and wasm-ld's messages out of their printed
// output.
//
// The output is as hostile as the source that caused it: megabytes without a newline, NULs,
// terminal escapes, broken UTF-8. Parsing takes linear time, copies no more than its limits, and
// every string it returns is valid UTF-8 without control characters.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::compile {

enum class severity { note, remark, warning, error, fatal_error };

// The name on the wire: `note`, `remark`, `warning`, `error`, `fatal_error`.
std::string_view name(severity value) noexcept;

struct diagnostic {
    std::string file;    // as printed: relative to the job for its own files; empty for emcc and wasm-ld
    unsigned line{0};    // from 1; 0 when the message has no place, as when there is no file
    unsigned column{0};  // from 1, in bytes; 0 when the message has no place in a line
    severity level{severity::error};
    std::string message;

    bool operator==(const diagnostic&) const = default;
};

struct diagnostic_limits {
    std::size_t max_items{200};
    std::size_t max_message_bytes{2048};
    std::size_t max_file_bytes{512};
};

struct diagnostic_list {
    std::vector<diagnostic> items;  // in the order printed
    bool truncated{false};          // there were more than max_items
};

// Reads everything that looks like a message; all other lines (source excerpts, carets, include
// stacks) are skipped, and so is emcc's closing "'<command line>' failed" when an error went before
// it. Never fails.
diagnostic_list parse_diagnostics(std::string_view output, const diagnostic_limits& limits = {});

}  // namespace sandboxd::compile
