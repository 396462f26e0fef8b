// The files of a compile request: what a path may look like, which files are translation units, and
// in which language each is.
//
// The jail is the wall; these rules keep a request's files from meaning something to emcc other
// than "source or data of this job": no path leaves the job's directory, looks like an option,
// overwrites what the compiler writes, or carries a name that emcc treats specially.
#pragma once

#include "base/errc.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::compile {

// `mixed` is a set's, never a single unit's: it has units of both.
enum class language { c, cpp, mixed };

// "c", "cpp" and "mixed": the names on the wire and in the logs.
std::string_view name(language value) noexcept;

// Reads the request's `type`: surrounding white space and letter case do not matter. `c`, `cpp`,
// `cc` and `c++` are known, the empty string is `c`; anything else is std::nullopt.
std::optional<language> parse_language(std::string_view type);

// The file that the request's `code` becomes: "main.c" or "main.cpp".
std::string_view main_file(language value) noexcept;

struct source_file {
    std::string path;     // relative, `/` between components
    std::string content;  // any bytes
};

struct source_limits {
    std::size_t max_files{64};
    std::size_t max_total_bytes{1024 * 1024};  // of all contents together
    std::size_t max_path_bytes{200};
    std::size_t max_path_depth{8};  // components
};

// A request's files, found fit to be written into a job directory as they are.
struct source_set {
    std::vector<source_file> files;  // in the request's order
    // The paths to hand to emcc, in the request's order; those of C behind those of C++, so that emcc counts the
    // latter alike whether or not it compiles the former in the same command.
    std::vector<std::string> units;
    // Of all units: C++ is that of the link as soon as one unit is C++. Where there are both, each is compiled as its
    // ending says.
    language lang{language::c};

    std::vector<std::string> paths() const;
};

// The language of a translation unit by its ending: `.c` is C; `.cc`, `.cpp`, `.cxx`, `.c++`, the same in upper
// case, and `.C` are C++, as for clang and emcc. Everything else, `.s` included, is a header or data: std::nullopt.
// (Assembly is left out because its directives read files.)
std::optional<language> unit_language(std::string_view path) noexcept;

// Why `path` is not one that stays below where it is put: relative, bounded, of harmless
// characters: letters and digits of any script (UTF-8), blanks inside, and `. _ + - ' ( )`.
// A phrase ("has an empty component"); std::nullopt when it is fine.
std::optional<std::string> path_shape_defect(std::string_view path, const source_limits& limits = {});

// The same for the name of a request's file, which must besides not be one with a meaning of its
// own to the compiler.
std::optional<std::string> path_defect(std::string_view path, const source_limits& limits = {});

// Checks all files of a request. `type` is the request's, when it has one; it decides the language
// only when no unit is C++. Errors: payload_too_large (total bytes), invalid_request
// (everything else; the message names the file by its index, as in `files[2].path`, and the cure).
result<source_set> check_sources(std::vector<source_file> files, std::optional<language> type,
                                 const source_limits& limits = {});

// The single-file form: `code` as main.c or main.cpp. Errors: payload_too_large.
result<source_set> single_source(std::string code, language value, const source_limits& limits = {});

}  // namespace sandboxd::compile
