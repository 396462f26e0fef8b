#include "api/media_type.hpp"

#include <algorithm>

namespace sandboxd::api {

namespace {

// Not Beast's iequals: up to 1.83 at least it reads one byte behind the end of both.
bool equals_lower(std::string_view text, std::string_view lower)
{
    return std::equal(text.begin(), text.end(), lower.begin(), lower.end(), [](char a, char b) {
        return (a >= 'A' && a <= 'Z' ? static_cast<char>(a | 0x20) : a) == b;
    });
}

// Whatever its parameters are.
bool is_media_type(std::string_view content_type, std::string_view wanted)
{
    auto type = content_type.substr(0, content_type.find(';'));
    type = type.substr(0, type.find_last_not_of(" \t") + 1);
    return equals_lower(type, wanted);
}

}  // namespace

bool is_json(std::string_view content_type)
{
    return content_type.empty() || is_media_type(content_type, "application/json");
}

bool is_form(std::string_view content_type)
{
    return is_media_type(content_type, "application/x-www-form-urlencoded");
}

}  // namespace sandboxd::api
