// The compiler's messages as data and as text for people, parsed from the output of clang, emcc and wasm-ld.
//
// The output is as hostile as the source that caused it: megabytes without a newline, NULs, terminal escapes, broken
// UTF-8. Parsing takes linear time and copies no more than its limits; every returned string is valid UTF-8 without
// control characters.
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
    // As printed: relative for the job's own files; empty for emcc, and for wasm-ld if it names none.
    std::string file;
    unsigned line{0};    // from 1; 0 when the message has no place, as when there is no file
    unsigned column{0};  // from 1, in bytes; 0 when the message has no place in a line
    severity level{severity::error};
    std::string message;
    unsigned column_utf16{0};  // from 1, in UTF-16 code units
    // The notes that follow the message; each is also a diagnostic of its own. For a symbol that is defined twice, or
    // differently than it is declared: the files of the definitions. For an undefined symbol: the files that name it.
    std::vector<diagnostic_note> notes{};
    // The place in the request's own files that caused the message: the first of these that exists. Its own place, if
    // it is in one of them; the place of a note, "… requested here" before others; the origin of the previous
    // message, if such a note led to that one; the #include that led there.
    std::optional<place> origin{};

    bool operator==(const diagnostic&) const = default;
};

// Of what is read out of a compiler's output, which a key bounds (compile.maxOutputBytes) and which the answer has as
// it is, too: what is cut here is not lost.
struct diagnostic_limits {
    std::size_t max_items{200};
    std::size_t max_message_bytes{2048};
    std::size_t max_file_bytes{512};
    std::size_t max_names{64};  // mangled names to demangle, in all messages together
};

struct diagnostic_list {
    std::vector<diagnostic> items;  // in the order printed
    bool truncated{false};          // there were more than max_items
};

// The prefix of objects that we ask emcc to make; "emscripten_temp_util_3.o" is unit 3. emcc's own temporary
// directory has the same prefix.
inline constexpr std::string_view object_prefix = "emscripten_temp_";

// The job that printed the output: it tells the request's files from others, and maps objects to sources.
struct job_text {
    std::span<const source_file> files{};
    std::span<const std::string> units{};  // in the order in which emcc got them
};

// Reads everything that looks like a message and skips all other lines: source excerpts, carets, include stacks,
// emcc's advice about settings, and its closing "'<command line>' failed" after an error. Never fails.
diagnostic_list parse_diagnostics(std::string_view output, const job_text& job = {},
                                  const diagnostic_limits& limits = {});

// The output for the author of the program: without emcc's inner command lines, closing words, advice about settings,
// temporary paths and terminal escapes; with demangled names, and sources instead of objects. Other lines stay
// unchanged. `output` is valid UTF-8, and so is the result.
std::string for_people(std::string_view output, const job_text& job, const diagnostic_limits& limits = {});

}  // namespace sandboxd::compile
