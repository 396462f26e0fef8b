#include "artifacts/names.hpp"

#include "base/ascii.hpp"

#include <algorithm>
#include <array>

namespace sandboxd::artifacts {

namespace {

struct suffix {
    std::string_view ending;
    std::string_view media_type;
};

constexpr std::array<suffix, 10> suffixes{{
    {".js", "text/javascript; charset=utf-8"},
    {".mjs", "text/javascript; charset=utf-8"},
    {".wasm", "application/wasm"},
    {".html", "text/html; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".txt", "text/plain; charset=utf-8"},
    {".map", "application/json"},
    {".json", "application/json"},
    {".svg", "image/svg+xml"},
    {".data", "application/octet-stream"},
}};

}  // namespace

bool is_id(std::string_view text) noexcept
{
    return text.size() == 32 && std::all_of(text.begin(), text.end(), is_lower_hex);
}

bool is_plain_name(std::string_view text) noexcept
{
    if (text.empty() || text.size() > 200) return false;
    if (!is_alphanumeric(text.front()) && text.front() != '_') return false;
    return std::all_of(text.begin(), text.end(),
                       [](char c) { return is_alphanumeric(c) || c == '_' || c == '.' || c == '-'; });
}

std::string_view media_type_of(std::string_view name) noexcept
{
    for (const auto& known : suffixes) {
        if (name.ends_with(known.ending)) return known.media_type;
    }
    return "application/octet-stream";
}

}  // namespace sandboxd::artifacts
