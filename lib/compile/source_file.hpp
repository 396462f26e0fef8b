// The files of a compile request: valid paths, and which files are translation units in which language.
//
// The jail is the wall; these rules make emcc treat a request's files only as source or data of this job. No path
// leaves the job's directory, looks like an option, overwrites the compiler's output, or has a name that emcc treats
// specially.
#pragma once

#include "base/errc.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::compile {

// `mixed` is for a set with units of both languages, never for a single unit.
enum class language { c, cpp, mixed };

// "c", "cpp" and "mixed": the names on the wire and in the logs.
std::string_view name(language value) noexcept;

// Reads the request's `type`, ignoring surrounding white space and case: `c`, `cpp`, `cc` and `c++`; the empty string
// is `c`, anything else std::nullopt.
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

// A request's files, checked and safe to be written into a job directory unchanged.
struct source_set {
    std::vector<source_file> files;  // in the request's order
    // The paths to pass to emcc, in the request's order, but C after C++: so emcc numbers the C++ units alike whether
    // or not the same command compiles the C units.
    std::vector<std::string> units;
    // The language of all units together: the link is C++ as soon as one unit is C++. In a mixed set, each unit's
    // ending decides.
    language lang{language::c};

    std::vector<std::string> paths() const;
};

// The language of a translation unit by its ending: `.c` is C; `.cc`, `.cpp`, `.cxx`, `.c++`, the same in upper case,
// and `.C` are C++, as for clang and emcc. Everything else is a header or data: std::nullopt. That includes `.s`,
// because directives of assembly read files.
std::optional<language> unit_language(std::string_view path) noexcept;

// What is wrong with `path` as a phrase ("has an empty component"), or std::nullopt. A valid path is relative,
// bounded, stays below its directory, and consists of letters and digits of any script (UTF-8), inner blanks, and `.
// _ + - ' ( )`.
std::optional<std::string> path_shape_defect(std::string_view path, const source_limits& limits = {});

// The same for the path of a request's file, which also must not have a special meaning to the compiler.
std::optional<std::string> path_defect(std::string_view path, const source_limits& limits = {});

// The error for more files than `most`.
error too_many_files(std::size_t most);

// Checks all files of a request. `type` is the request's, if it has one; it decides the language only when no unit is
// C++. Errors: payload_too_large (total bytes), invalid_request (everything else; the message names the file by its
// index, such as `files[2].path`, and the cure).
result<source_set> check_sources(std::vector<source_file> files, std::optional<language> type,
                                 const source_limits& limits = {});

// The single-file form: `code` as main.c or main.cpp. Errors: payload_too_large.
result<source_set> single_source(std::string code, language value, const source_limits& limits = {});

}  // namespace sandboxd::compile
