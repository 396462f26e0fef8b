#include "http/router.hpp"

#include <algorithm>

namespace sandboxd::http {

namespace {

std::string_view take_segment(std::string_view& rest)
{
    const auto slash = rest.find('/');
    const auto segment = rest.substr(0, slash);
    rest.remove_prefix(slash == std::string_view::npos ? rest.size() : slash + 1);
    return segment;
}

}  // namespace

bool match_pattern(std::string_view pattern, std::string_view path, exchange& x)
{
    // Most patterns differ from a path in their first letters.
    const auto differs =
        std::ranges::mismatch(pattern, path, [](char wanted, char given) { return wanted == given && wanted != '{'; });
    pattern = {differs.in1, pattern.end()};
    path = {differs.in2, path.end()};
    if (pattern.empty()) return path.empty();
    if (pattern.front() != '{') return false;
    std::size_t captured = 0;
    // Both are at the beginning of a segment.
    for (;;) {
        const bool pattern_ends = pattern.find('/') == std::string_view::npos;
        const bool path_ends = path.find('/') == std::string_view::npos;
        const auto wanted = take_segment(pattern);
        if (wanted == "{*}") {
            x.set_param(captured, path);
            return true;
        }
        const auto given = take_segment(path);
        if (wanted == "{}") {
            if (given.empty()) return false;
            x.set_param(captured++, given);
        } else if (wanted != given) {
            return false;
        }
        if (pattern_ends || path_ends) return pattern_ends && path_ends;
    }
}

}  // namespace sandboxd::http
