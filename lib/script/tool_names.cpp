#include "script/tool_names.hpp"

#include "base/ascii.hpp"
#include "base/utf8.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

namespace sandboxd::script {

namespace {

constexpr std::array looked_up{
    std::string_view{"constructor"},
    std::string_view{"hasOwnProperty"},
    std::string_view{"isPrototypeOf"},
    std::string_view{"prototype"},
    std::string_view{"propertyIsEnumerable"},
    std::string_view{"then"},
    std::string_view{"toLocaleString"},
    std::string_view{"toJSON"},
    std::string_view{"toString"},
    std::string_view{"valueOf"},
};

bool begins_identifier(char one) { return is_letter(one) || one == '_' || one == '$'; }

bool is_identifier(std::string_view part)
{
    return !part.empty() && begins_identifier(part.front()) &&
           std::ranges::all_of(part, [](char one) { return begins_identifier(one) || is_digit(one); });
}

// Empty: it is fine.
std::string fault_of_name(std::string_view name)
{
    if (name.size() > longest_tool_name)
        return "a name must not be longer than " + std::to_string(longest_tool_name) + " bytes";
    const auto named = "'" + to_valid_utf8(name) + "' ";
    std::size_t parts = 0;
    for (auto left = name;;) {
        const auto dot = left.find('.');
        const auto part = left.substr(0, dot);
        if (!is_identifier(part))
            return named + "is not a name: use ASCII letters, digits, _ and $, and dots between, as in 'orders.get'";
        if (part.starts_with("__") || std::ranges::find(looked_up, part) != looked_up.end())
            return named + "contains '" + std::string{part} + "', which objects of the language have; rename it";
        if (++parts > most_tool_parts) return named + "has more than " + std::to_string(most_tool_parts) + " parts";
        if (dot == std::string_view::npos) return {};
        left = left.substr(dot + 1);
    }
}

}  // namespace

std::string fault_of_tool_names(std::span<const std::string> names)
{
    for (const auto& name : names)
        if (auto wrong = fault_of_name(name); !wrong.empty()) return wrong;
    // With a separator below every other character behind each part, a path's beginning is right before it in order.
    std::vector<std::string> sorted;
    for (const auto& name : names) {
        sorted.push_back(name + '.');
        std::ranges::replace(sorted.back(), '.', '\x01');
    }
    std::ranges::sort(sorted);
    for (std::size_t i = 1; i < sorted.size(); ++i) {
        if (!sorted[i].starts_with(sorted[i - 1])) continue;
        const auto plain = [](std::string text) {
            text.pop_back();
            std::ranges::replace(text, '\x01', '.');
            return text;
        };
        const auto shorter = plain(sorted[i - 1]);
        if (sorted[i] == sorted[i - 1]) return "'" + shorter + "' comes twice";
        return "'" + shorter + "' cannot be both a function and what '" + plain(sorted[i]) +
               "' is in; rename one of them";
    }
    return {};
}

}  // namespace sandboxd::script
