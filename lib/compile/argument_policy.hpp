// The compiler arguments that a request may pass, and what the server makes of them.
//
// Arguments are matched as whole tokens, parsed into typed settings and written anew in one canonical spelling, so
// that emcc sees only text that this file has composed. Arguments that are not in the tables of argument_policy.cpp
// are dropped and reported. A value that tries to read or write a file ends the request.
#pragma once

#include "base/errc.hpp"
#include "compile/source_file.hpp"

#include <compare>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::compile {

// Part of every cache key. Raise it whenever the same request could yield other arguments.
inline constexpr std::string_view policy_version = "3";

struct emcc_version {
    unsigned major{3};
    unsigned minor{1};
    unsigned patch{6};

    auto operator<=>(const emcc_version&) const = default;
};

// They have no keys: arguments are written by hand or by a build, and no build of the files that a request may have
// (compile.maxFiles) comes near to them.
struct policy_limits {
    std::size_t max_tokens{256};             // defaults and request together
    std::size_t max_token_bytes{16 * 1024};  // of one token
    std::size_t max_total_bytes{64 * 1024};  // of all tokens; the kernel's limit (E2BIG) is far above
    std::size_t max_define_bytes{1024};      // the value of one -D
    std::size_t max_list_items{1024};        // of one EXPORTED_FUNCTIONS and the like
    std::size_t max_identifier_bytes{256};   // one name in such a list, one macro name
    std::size_t max_url_bytes{1024};         // --source-map-base
    std::size_t max_packed_files{512};       // --embed-file and --preload-file, directories counted by file
    bool any_files{false};   // no request is known yet: accept every name that a request's file could have
    emcc_version version{};  // decides between old and new names of settings
};

struct ignored_argument {
    std::string token;     // as given; shortened when long, always valid UTF-8 if the request was
    std::string reason;    // a phrase: "is not an argument that this server allows"
    std::string effect{};  // what it would have changed, a phrase: "threads: std::thread fails at run time without it"
    // Whether the program may behave differently without it. Unknown counts as yes.
    bool changes_program{true};
    std::size_t index{0};  // of its (first) token in what apply_policy() was given
};

struct effective_arguments {
    // The arguments between `emcc` and the units. Every token starts with `-`, none has a control character, and `@`
    // occurs only as the separator of --embed-file and --preload-file. Each setting occurs once, with the last value
    // given.
    std::vector<std::string> argv;
    // What was dropped, in the order given.
    std::vector<ignored_argument> ignored;
};

// Applies the policy to `tokens`: the server's default arguments, then the request's. `files` are the request's
// paths, checked by check_sources(); only they can be embedded or preloaded. `lang` decides which -std= are known; a
// mixed set may have one of C and one of C++. Errors: invalid_request, when a value names a file to read or write
// (`@` in a setting, a path that is not in the request), or exceeds a count or length limit; the message names token,
// reason and cure.
result<effective_arguments> apply_policy(std::span<const std::string> tokens, std::span<const std::string> files,
                                         language lang, const policy_limits& limits = {});

// The error for more arguments than `most`.
error too_many_arguments(std::size_t most);

// Why a strict request is refused: names each of `ignored` from token `first` on (the tokens before it are the
// server's own) whose loss may change the program. Nullopt when there is none.
std::optional<error> strict_refusal(std::span<const ignored_argument> ignored, std::size_t first);

// One row of the policy in words, for documentation and for tests that pass each row to the real compiler.
struct policy_row {
    std::string argument;  // an example in canonical spelling: "-sASSERTIONS=1"
    std::string accepts;   // "0 to 2", "a list of C identifiers"
    std::string why;
};

// All rows, for the given compiler version.
std::vector<policy_row> policy_rows(const emcc_version& version = {});

}  // namespace sandboxd::compile
