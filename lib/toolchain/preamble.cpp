#include "toolchain/preamble.hpp"

#include "base/ascii.hpp"

#include <algorithm>
#include <array>

namespace sandboxd::toolchain {

namespace {

constexpr std::string_view blanks = " \t\r\v\f";
constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
constexpr std::string_view decimals = "0123456789";

std::string_view without_blanks(std::string_view text) { return trim(text, blanks); }

bool consists_of(std::string_view text, std::string_view some, std::string_view others = {}, std::string_view more = {})
{
    return std::ranges::all_of(text, [&](char one) {
        return some.find(one) != std::string_view::npos || others.find(one) != std::string_view::npos ||
               more.find(one) != std::string_view::npos;
    });
}

// To clang a carriage return ends a line, whatever follows; here only together with a newline.
bool has_another_end(std::string_view text)
{
    for (auto at = text.find('\r'); at != std::string_view::npos; at = text.find('\r', at + 1))
        if (at + 1 < text.size() && text[at + 1] != '\n') return true;
    return false;
}

// Behind a directive there may be a comment to the end of the line.
bool is_end(std::string_view text)
{
    text = without_blanks(text);
    return text.empty() || text.starts_with("//");
}

// "<vector>", "<emscripten/bind.h>"
bool includes_header(std::string_view text)
{
    const auto end = text.find('>');
    if (!text.starts_with('<') || end == std::string_view::npos || !is_end(text.substr(end + 1))) return false;
    const auto name = text.substr(1, end - 1);
    return !name.empty() && name.front() != '/' && name.find("..") == std::string_view::npos &&
           consists_of(name, letters, decimals, "_-+./");
}

// Whether a macro may ask which files there are (__has_include, which can be pasted together): where a preamble is
// made there are none of the job's.
bool may_ask_for_files(std::string_view text)
{
    return std::ranges::any_of(std::array{"__has_", "##", "%:%:", "?\?="},
                               [&](const char* one) { return text.find(one) != std::string_view::npos; });
}

// "NAME 1", "NAME(a) a": a comment that goes on behind the line would be another thing.
bool defines_macro(std::string_view text)
{
    return !text.empty() && text.find("/*") == std::string_view::npos && !may_ask_for_files(text) &&
           (letters.find(text.front()) != std::string_view::npos || text.front() == '_');
}

enum class line_kind { other, nothing, definition, include };

line_kind kind_of(std::string_view line)
{
    line = without_blanks(line);
    if (line.empty() || line.starts_with("//")) return line_kind::nothing;
    if (line.front() != '#') return line_kind::other;
    line = without_blanks(line.substr(1));
    const auto end = std::min(line.find_first_not_of(letters), line.size());
    const auto word = line.substr(0, end);
    const auto rest = without_blanks(line.substr(end));
    if (word == "include" && includes_header(rest)) return line_kind::include;
    if (word == "define" && end < line.size() && blanks.find(line[end]) != std::string_view::npos &&
        defines_macro(rest))
        return line_kind::definition;
    return line_kind::other;
}

// Where a comment that begins here ends, together with its last line; npos: not as one expects it.
std::size_t end_of_comment(std::string_view source, std::size_t begin)
{
    const auto close = source.find("*/", begin + 2);
    if (close == std::string_view::npos) return close;
    const auto line = source.find('\n', close);
    if (line == std::string_view::npos || !is_end(source.substr(close + 2, line - close - 2)))
        return std::string_view::npos;
    return line + 1;
}

// Clang says at the end of a source which of its macros are not used, and forgets to where a precompiled part defines
// them. Of system headers it says much at the end, too, if it says anything.
bool warns_of_the_end(std::string_view warning)
{
    return warning.ends_with("unused-macros") || warning.ends_with("everything") || warning.ends_with("system-headers");
}

// "c++17": a name and no path.
bool is_word(std::string_view value) { return !value.empty() && consists_of(value, letters, decimals, "_-+.=,"); }

// Of -f: what changes the meaning of a source, or its code, and neither reads nor writes another file.
constexpr std::string_view plain_f[] = {"exceptions",
                                        "ignore-exceptions",
                                        "wasm-exceptions",
                                        "rtti",
                                        "threadsafe-statics",
                                        "visibility=",
                                        "visibility-inlines-hidden",
                                        "inline",
                                        "inline-functions",
                                        "strict-aliasing",
                                        "fast-math",
                                        "finite-math-only",
                                        "associative-math",
                                        "reciprocal-math",
                                        "rounding-math",
                                        "trapping-math",
                                        "signed-zeros",
                                        "math-errno",
                                        "fp-contract=",
                                        "unroll-loops",
                                        "vectorize",
                                        "slp-vectorize",
                                        "tree-vectorize",
                                        "signed-char",
                                        "unsigned-char",
                                        "short-enums",
                                        "char8_t",
                                        "permissive",
                                        "omit-frame-pointer",
                                        "wrapv",
                                        "common",
                                        "PIC",
                                        "pic",
                                        "builtin",
                                        "coroutines-ts",
                                        "function-sections",
                                        "data-sections",
                                        "ms-extensions",
                                        "strict-enums",
                                        "constexpr-depth=",
                                        "constexpr-steps=",
                                        "template-depth=",
                                        "aligned-allocation",
                                        "sized-deallocation",
                                        "delete-null-pointer-checks",
                                        "optimize-sibling-calls",
                                        "merge-all-constants"};

bool is_plain_f(std::string_view value)
{
    if (value.starts_with("no-")) value.remove_prefix(3);
    return std::ranges::any_of(plain_f, [&](std::string_view one) {
        return one.ends_with('=') ? value.starts_with(one) && is_word(value.substr(one.size())) : value == one;
    });
}

bool is_toolchains_directory(std::string_view value)
{
    return value.starts_with("-iwithsysroot/include/") && value.find("..") == std::string_view::npos &&
           consists_of(value, letters, decimals, "_-/");
}

// A trigraph, a NUL, or two lines.
bool may_mean_another_thing(std::string_view text)
{
    return text.find("?\?") != std::string_view::npos || text.find('\0') != std::string_view::npos ||
           has_another_end(text);
}

}  // namespace

std::size_t preamble_bytes(std::string_view source)
{
    source = source.substr(0, most_preamble_bytes);
    std::size_t at = 0;
    std::size_t end = 0;
    while (at < source.size()) {
        const auto newline = source.find('\n', at);
        if (newline == std::string_view::npos) break;
        const auto line = source.substr(at, newline - at);
        // Or it goes on, also where blanks follow the backslash.
        if (may_mean_another_thing(line) || without_blanks(line).ends_with('\\')) break;
        const auto begin = std::min(line.find_first_not_of(blanks), line.size());
        if (line.substr(begin).starts_with("/*")) {
            const auto behind = end_of_comment(source, at + begin);
            if (behind == std::string_view::npos) break;
            const auto comment = source.substr(at, behind - at);
            if (may_mean_another_thing(comment) || comment.find('\\') != std::string_view::npos) break;
            at = behind;
            continue;
        }
        const auto kind = kind_of(line);
        if (kind == line_kind::other) break;
        at = newline + 1;
        if (kind == line_kind::include) end = at;
    }
    return end;
}

bool preamble_may_be_known(std::span<const std::string> args)
{
    for (std::size_t i = 0; i < args.size(); ++i) {
        std::string_view one = args[i];
        const bool has_next = i + 1 < args.size();
        if (one == "-target" || one == "-mllvm") {
            if (!has_next || !consists_of(args[i + 1], letters, decimals, "_-=.")) return false;
            ++i;
        } else if (one == "-Xclang") {
            if (!has_next || !is_toolchains_directory(args[i + 1])) return false;
            ++i;
        } else if (one.starts_with("--sysroot=") || one.starts_with("--target=")) {
            continue;
        } else if (one.starts_with("-D") || one.starts_with("-U")) {
            // A name that is defined by another argument is another matter.
            if (one.size() == 2 || may_ask_for_files(one)) return false;
        } else if (one.starts_with("-O")) {
            if (!consists_of(one.substr(2), letters, decimals)) return false;
        } else if (one.starts_with("-std=")) {
            if (!is_word(one.substr(5))) return false;
        } else if (one.starts_with("-W")) {
            // -Wa, and its like are for other programs.
            if (one.find(',') != std::string_view::npos || !consists_of(one.substr(2), letters, decimals, "-+=_") ||
                warns_of_the_end(one))
                return false;
        } else if (one.starts_with("-f")) {
            if (!is_plain_f(one.substr(2))) return false;
        } else if (one.starts_with("-m")) {
            if (!is_word(one.substr(2))) return false;
        } else if (one != "-w" && one != "-pedantic" && one != "-pedantic-errors" && one != "-pthread" &&
                   one != "-g0" && one != "-ansi") {
            return false;
        }
    }
    return true;
}

}  // namespace sandboxd::toolchain
