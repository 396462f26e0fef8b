// How the values of header fields are taken apart: white space around them, lists with commas.
#pragma once

#include <string_view>

namespace sandboxd::http {

// Without the spaces and tabs around it (OWS, RFC 9110 5.6.3).
inline std::string_view trim(std::string_view text) noexcept
{
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

// Takes the next element off a comma-separated list of things without commas in them (RFC 9110 5.6.1: empty elements
// are passed over). False at the end.
inline bool next_element(std::string_view& list, std::string_view& element) noexcept
{
    while (!list.empty()) {
        const auto comma = list.find(',');
        element = trim(list.substr(0, comma));
        list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
        if (!element.empty()) return true;
    }
    return false;
}

}  // namespace sandboxd::http
