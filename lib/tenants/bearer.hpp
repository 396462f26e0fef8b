// Keys in requests: `Authorization: Bearer <key>`, and what a refusal says (RFC 6750).
#pragma once

#include "tenants/scope.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::tenants {

// A longer one is no key of ours, and is not even digested.
inline constexpr std::size_t longest_key = 512;

struct credentials {
    enum class kind : std::uint8_t {
        none,       // no field, an empty one, or one of another scheme
        malformed,  // of this scheme, and not of its form
        bearer,
    };
    kind is{kind::none};
    std::string_view key{};
};

// Of the only Authorization field. The scheme is read in any case, as are all schemes (RFC 9110, 11.1); behind it come
// blanks and one token (RFC 6750, 2.1). Pure.
credentials read_credentials(std::string_view field) noexcept;

// What Basic (RFC 7617) has encoded: name, colon, password. Nullopt: the field is of another scheme or form. Pure.
std::optional<std::string> decode_basic(std::string_view field);

// Whether `is_key` says so of a word of a field, however the rest is spelt: a word ends at a blank, a comma, a
// semicolon, a colon or a quote, and what is behind its '=' is another one. A field of more words than the schemes that
// there are need is taken for one with a key. Pure.
template <class IsKey>
bool any_key_in(std::string_view field, IsKey is_key)
{
    constexpr std::size_t most_words = 32;
    constexpr std::string_view between = " \t,;:\"'";
    for (std::size_t words = 0;; ++words) {
        const auto begin = field.find_first_not_of(between);
        if (begin == std::string_view::npos) return false;
        if (words == most_words) return true;
        field.remove_prefix(begin);
        const auto word = field.substr(0, field.find_first_of(between));
        if (is_key(word)) return true;
        if (const auto equals = word.find('='); equals != std::string_view::npos && is_key(word.substr(equals + 1)))
            return true;
        field.remove_prefix(word.size());
    }
}

// Why a request is refused.
enum class refusal_of_key : std::uint8_t {
    missing,
    malformed,
    unknown,
    scope,
    not_known_yet,  // it may be one of the fleet's, which this server has not read yet
};
inline constexpr std::size_t refusals_of_keys = 5;
std::string_view name(refusal_of_key why) noexcept;
// The value of WWW-Authenticate; empty: it is left out. `needed`: for `scope`, the one that the key lacks.
std::string challenge(refusal_of_key why, scope needed = scope::admin);

}  // namespace sandboxd::tenants
