#include "compile/source_file.hpp"

#include "base/ascii.hpp"
#include "base/path.hpp"
#include "base/utf8.hpp"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

namespace sandboxd::compile {

namespace {

struct ending {
    std::string_view text;
    language lang;
};

// The same as in clang's driver. `.C` is C++ to every compiler on Unix, and to emcc.
constexpr ending endings[] = {
    {".c", language::c},     {".cc", language::cpp},  {".cpp", language::cpp}, {".cxx", language::cpp},
    {".c++", language::cpp}, {".C", language::cpp},   {".CC", language::cpp},  {".CPP", language::cpp},
    {".CXX", language::cpp}, {".C++", language::cpp},
};

// The files that the compiler writes next to its output `app.js`. A request's file of that name would be served as an
// artifact if the compiler failed to overwrite it.
constexpr std::string_view written_by_the_compiler[] = {
    "app.js",       "app.mjs",   "app.wasm",   "app.wasm.map",  "app.wasm.js",    "app.data",
    "app.html",     "app.mem",   "app.js.mem", "app.worker.js", "app.js.symbols", "app.wasm.debug.wasm",
    "app.fetch.js", "app.aw.js", "app.ww.js",
};

// The allowed ASCII characters. The others have a meaning for emcc ('@', ':', ','), for the assembly text in which it
// embeds files ('"', '\\'), for its response files, or for a shell that somebody pastes a path into.
constexpr bool allowed_in_a_name(char c) noexcept
{
    constexpr std::string_view punctuation = "._+- '()";
    return is_alphanumeric(c) || punctuation.find(c) != std::string_view::npos;
}

struct code_points {
    char32_t first;
    char32_t last;
};

// Forbidden characters beyond ASCII: invisible ones, those that end a line in JavaScript, and those that change the
// direction of the text around them (Unicode 15: general categories Cc, Cf, Zl, Zp, Zs, noncharacters of Cn, and
// private use).
constexpr code_points not_in_a_name[] = {
    {0x80, 0xa0},     {0xad, 0xad},     {0x61c, 0x61c},     {0x1680, 0x1680},    {0x180e, 0x180e}, {0x2000, 0x200f},
    {0x2028, 0x202f}, {0x205f, 0x206f}, {0x3000, 0x3000},   {0xd800, 0xf8ff},    {0xfdd0, 0xfdef}, {0xfe00, 0xfe0f},
    {0xfeff, 0xfeff}, {0xfff0, 0xffff}, {0xe0000, 0xe0fff}, {0xf0000, 0x10ffff},
};

// Takes one code point off the front of `text`, which is valid UTF-8 and not empty.
char32_t take_code_point(std::string_view& text) noexcept
{
    const auto octet = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const std::size_t length = octet(0) < 0x80 ? 1 : octet(0) < 0xe0 ? 2 : octet(0) < 0xf0 ? 3 : 4;
    constexpr unsigned first_octet_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    char32_t value = octet(0) & first_octet_bits[length];
    for (std::size_t i = 1; i < length; ++i) value = (value << 6) | (octet(i) & 0x3f);
    text.remove_prefix(length);
    return value;
}

bool is_name(std::string_view component) noexcept
{
    if (!is_valid_utf8(component)) return false;
    while (!component.empty()) {
        const char first = component.front();
        const auto point = take_code_point(component);
        if (point < 0x80 && !allowed_in_a_name(first)) return false;
        for (const auto& range : not_in_a_name)
            if (point >= range.first && point <= range.last) return false;
    }
    return true;
}

// Whether `path` ends like a source file, but in a mix of upper and lower case that no compiler accepts.
bool looks_like_a_unit(std::string_view path)
{
    const auto dot = path.rfind('.');
    if (dot == std::string_view::npos || path.find('/', dot) != std::string_view::npos) return false;
    const auto ending = in_lower_case(path.substr(dot));
    return std::ranges::any_of(endings, [&](const auto& known) { return ending == known.text; });
}

std::string where(std::size_t index, std::string_view path)
{
    constexpr std::size_t shown = 100;
    std::string text = "files[" + std::to_string(index) + "].path \"";
    text += to_valid_utf8(utf8_prefix(path, shown));
    text += path.size() > shown ? "…\" " : "\" ";
    return text;
}

error too_large(const source_limits& limits)
{
    return {errc::payload_too_large,
            "the source files hold more than " + std::to_string(limits.max_total_bytes) + " bytes in total: send less"};
}

}  // namespace

std::string_view name(language value) noexcept
{
    switch (value) {
        case language::c: return "c";
        case language::cpp: return "cpp";
        case language::mixed: break;
    }
    return "mixed";
}

std::optional<language> parse_language(std::string_view type)
{
    constexpr std::string_view white = " \t\r\n\v\f";
    type = trim(type, white);
    if (type.empty()) return language::c;
    constexpr std::size_t longest = 3;
    if (type.size() > longest) return std::nullopt;
    const auto folded = in_lower_case(type);
    if (folded == "c") return language::c;
    if (folded == "cpp" || folded == "cc" || folded == "c++") return language::cpp;
    return std::nullopt;
}

std::string_view main_file(language value) noexcept { return value == language::c ? "main.c" : "main.cpp"; }

std::vector<std::string> source_set::paths() const
{
    std::vector<std::string> all;
    all.reserve(files.size());
    for (const auto& file : files) all.push_back(file.path);
    return all;
}

std::optional<language> unit_language(std::string_view path) noexcept
{
    path = path.substr(path.rfind('/') + 1);
    const auto dot = path.rfind('.');
    if (dot == std::string_view::npos || dot == 0) return std::nullopt;
    for (const auto& known : endings)
        if (path.substr(dot) == known.text) return known.lang;
    return std::nullopt;
}

std::optional<std::string> path_shape_defect(std::string_view path, const source_limits& limits)
{
    const path_limits bounds{.max_bytes = limits.max_path_bytes,
                             .max_part_bytes = limits.max_path_bytes,
                             .max_parts = limits.max_path_depth};
    path_walk walk{path, bounds};
    while (const auto part = walk.next()) {
        // Hidden files configure tools that look in the current or home directory; `.emscripten` is
        // even executed by emcc when that is its home.
        if (part->front() == '.') return "has a component that starts with '.'";
        // It could be read as an option wherever it comes first in an argument.
        if (part->front() == '-') return "has a component that starts with '-'";
        // They get lost when a path is written down.
        if (part->front() == ' ' || part->back() == ' ') return "has a component that starts or ends with a blank";
        if (!is_name(*part)) return "has a character other than letters, digits, blanks and . _ + - ' ( )";
    }
    if (walk.fault()) return describe(*walk.fault(), bounds);
    return std::nullopt;
}

std::optional<std::string> path_defect(std::string_view path, const source_limits& limits)
{
    if (auto defect = path_shape_defect(path, limits)) return defect;
    if (std::ranges::find(written_by_the_compiler, path) != std::end(written_by_the_compiler))
        return "is a name that the compiler writes to";
    // emcc takes an input of this name for a configure script's probe and then links Node.js's file
    // system into the module (`autoconf` in emcc.py and tools/link.py).
    if (path == "conftest.c" || path == "conftest.cpp") return "is a name that emcc treats specially";
    return std::nullopt;
}

error too_many_files(std::size_t most)
{
    return invalid_request("files has more than " + std::to_string(most) + " entries: merge or remove some");
}

result<source_set> check_sources(std::vector<source_file> files, std::optional<language> type,
                                 const source_limits& limits)
{
    if (files.empty()) return invalid_request("files is empty: send at least one source file");
    if (files.size() > limits.max_files) return too_many_files(limits.max_files);

    source_set set;
    std::size_t of_c = 0;
    std::size_t total = 0;
    std::set<std::string_view> names;
    for (std::size_t i = 0; i < files.size(); ++i) {
        const auto& file = files[i];
        if (const auto defect = path_defect(file.path, limits))
            return invalid_request(where(i, file.path) + *defect + ": use a relative path such as src/util.c");
        if (!names.insert(file.path).second)
            return invalid_request(where(i, file.path) + "comes twice: give each file its own path");
        if (file.content.size() > limits.max_total_bytes - total) return too_large(limits);
        total += file.content.size();

        if (const auto unit = unit_language(file.path)) {
            set.units.push_back(file.path);
            if (*unit == language::c) ++of_c;
        } else if (looks_like_a_unit(file.path)) {
            return invalid_request(where(i, file.path) +
                                   "has an ending that no compiler recognises as a source: write it in lower case");
        }
    }
    for (std::size_t i = 0; i < files.size(); ++i) {
        const std::string_view path = files[i].path;
        for (auto slash = path.find('/'); slash != std::string_view::npos; slash = path.find('/', slash + 1))
            if (names.contains(path.substr(0, slash)))
                return invalid_request(where(i, path) + "lies below a path that is itself a file: rename one of them");
    }
    if (set.units.empty())
        return invalid_request(
            "files has nothing to compile: at least one path must end in .c, .cc, .cpp, .cxx "
            "or .c++ (in upper case, too; .C is C++)");
    if (of_c == set.units.size())
        set.lang = type.value_or(language::c);
    else
        set.lang = of_c == 0 ? language::cpp : language::mixed;
    if (set.lang == language::mixed) {
        std::vector<std::string> ordered;
        for (const auto lang : {language::cpp, language::c})
            std::ranges::copy_if(set.units, std::back_inserter(ordered),
                                 [&](const std::string& unit) { return unit_language(unit) == lang; });
        set.units = std::move(ordered);
    }
    set.files = std::move(files);
    return set;
}

result<source_set> single_source(std::string code, language value, const source_limits& limits)
{
    if (code.size() > limits.max_total_bytes) return too_large(limits);
    source_set set;
    set.lang = value;
    set.units.emplace_back(main_file(value));
    set.files.push_back({set.units.front(), std::move(code)});
    return set;
}

}  // namespace sandboxd::compile
