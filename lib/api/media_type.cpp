#include "api/media_type.hpp"

#include "http/field_text.hpp"

#include <algorithm>

namespace sandboxd::api {

namespace {

// Ignores the parameters.
bool is_media_type(std::string_view content_type, std::string_view wanted)
{
    return same_word(http::trim(content_type.substr(0, content_type.find(';'))), wanted);
}

}  // namespace

bool is_json(std::string_view content_type) { return is_media_type(content_type, "application/json"); }

bool is_form(std::string_view content_type) { return is_media_type(content_type, "application/x-www-form-urlencoded"); }

std::string multipart_boundary(std::string_view content_type)
{
    constexpr std::size_t longest_boundary = 70;
    constexpr std::string_view key = "boundary=";
    if (!is_media_type(content_type, "multipart/form-data")) return {};
    while (true) {
        const auto semicolon = content_type.find(';');
        if (semicolon == std::string_view::npos) return {};
        content_type.remove_prefix(semicolon + 1);
        content_type = http::trim(content_type);
        if (same_word(content_type.substr(0, key.size()), key)) break;
    }
    auto value = content_type.substr(key.size());
    if (value.starts_with('"')) {
        const auto end = value.find('"', 1);
        if (end == std::string_view::npos) return {};
        value = value.substr(1, end - 1);
    } else {
        value = value.substr(0, value.find_first_of("; \t"));
    }
    const bool plain = std::ranges::all_of(value, [](char c) { return c >= ' ' && c <= '~' && c != '\\'; });
    return plain && !value.empty() && value.size() <= longest_boundary ? std::string{value} : std::string{};
}

}  // namespace sandboxd::api
