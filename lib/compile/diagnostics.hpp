// What the compiler said, as data and for people: clang's, emcc's and wasm-ld's messages out of their printed
// output.
//
// The output is as hostile as the source that caused it: megabytes without a newline, NULs,
// terminal escapes, broken UTF-8. Parsing takes linear time, copies no more than its limits, and
// every string it returns is valid UTF-8 without control characters.
#pragma once

#include "compile/source_file.hpp"

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::compile {

enum class severity { note, remark, warning, error, fatal_error };

// The name on the wire: `note`, `remark`, `warning`, `error`, `fatal_error`.
std::string_view name(severity value) noexcept;

struct place {
    std::string file;
    unsigned line{0};
    unsigned column{0};        // in bytes of UTF-8, as clang counts
    unsigned column_utf16{0};  // in UTF-16 code units, as JavaScript and editors count

    bool operator==(const place&) const = default;
};

struct diagnostic_note {
    place at;  // as a diagnostic's
    std::string message;

    bool operator==(const diagnostic_note&) const = default;
};

struct diagnostic {
    // As printed: relative to the job for its own files; empty for emcc, and for wasm-ld where it does not tell.
    std::string file;
    unsigned line{0};    // from 1; 0 when the message has no place, as when there is no file
    unsigned column{0};  // from 1, in bytes; 0 when the message has no place in a line
    severity level{severity::error};
    std::string message;
    unsigned column_utf16{0};  // from 1, in UTF-16 code units
    // What belongs to it: the notes that follow it, each of which is a diagnostic of its own, too; for a symbol that
    // is defined twice, or otherwise than it is declared, the files; for one that is not defined, the files that name
    // it.
    std::vector<diagnostic_note> notes{};
    // Where in the request's own files it comes from: its own place when that is in one of them; else the line that
    // a note names, of which "… requested here" before others; else that of the message before it, if such a note led
    // to that one; else that of the #include that led there.
    std::optional<place> origin{};

    bool operator==(const diagnostic&) const = default;
};

struct diagnostic_limits {
    std::size_t max_items{200};
    std::size_t max_message_bytes{2048};
    std::size_t max_file_bytes{512};
    std::size_t max_names{64};  // mangled names that are written out, of all messages together
};

struct diagnostic_list {
    std::vector<diagnostic> items;  // in the order printed
    bool truncated{false};          // there were more than max_items
};

// How objects begin that emcc is asked for by name; "emscripten_temp_util_3.o" is unit 3. emcc's own lie in a directory
// that begins in the same way.
inline constexpr std::string_view object_prefix = "emscripten_temp_";

// What the output is about, to tell the request's files from others and objects' names from sources.
struct job_text {
    std::span<const source_file> files{};
    std::span<const std::string> units{};  // in the order in which emcc got them
};

// Reads everything that looks like a message; all other lines (source excerpts, carets, include
// stacks) are skipped, and so are emcc's closing "'<command line>' failed" when an error went before
// it, and its advice about settings. Never fails.
diagnostic_list parse_diagnostics(std::string_view output, const job_text& job = {},
                                  const diagnostic_limits& limits = {});

// The output as a person who wrote the program needs it: without emcc's inner command lines, its closing words, its
// advice about settings, paths of temporary files and terminal escapes; names of C++ as they are written, sources for
// objects. Lines that hold none of that stay as they are. `output` is valid UTF-8, and so is what comes back.
std::string for_people(std::string_view output, const job_text& job, const diagnostic_limits& limits = {});

}  // namespace sandboxd::compile
