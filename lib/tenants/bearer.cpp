#include "tenants/bearer.hpp"

#include "base/ascii.hpp"
#include "base/base64.hpp"

#include <algorithm>

namespace sandboxd::tenants {

namespace {

constexpr std::string_view scheme = "bearer";
constexpr std::string_view basic_scheme = "basic";

// Of a field that begins with it, in any case (RFC 9110, 11.1); `rest` is what is behind it.
bool takes_scheme(std::string_view field, std::string_view wanted, std::string_view& rest) noexcept
{
    field = trim(field, " \t");
    const auto end = std::min(field.find_first_of(" \t"), field.size());
    if (!same_word(field.substr(0, end), wanted)) return false;
    rest = field.substr(std::min(field.find_first_not_of(' ', end), field.size()));
    return true;
}

bool is_token_char(char c) noexcept
{
    return is_alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~' || c == '+' || c == '/';
}

// b64token: what Base64 makes, in either alphabet, with its padding at the end only.
bool is_token(std::string_view text) noexcept
{
    const auto last = text.find_last_not_of('=');
    return last != std::string_view::npos && std::ranges::all_of(text.substr(0, last + 1), is_token_char);
}

}  // namespace

credentials read_credentials(std::string_view field) noexcept
{
    std::string_view key;
    if (!takes_scheme(field, scheme, key)) return {};
    if (!is_token(key)) return {credentials::kind::malformed, {}};
    return {credentials::kind::bearer, key};
}

std::optional<std::string> decode_basic(std::string_view field)
{
    std::string_view encoded;
    if (!takes_scheme(field, basic_scheme, encoded)) return std::nullopt;
    return decode_base64(encoded);
}

std::string_view name(refusal_of_key why) noexcept
{
    switch (why) {
        case refusal_of_key::missing: return "missing";
        case refusal_of_key::malformed: return "malformed";
        case refusal_of_key::unknown: return "unknown";
        case refusal_of_key::not_known_yet: return "not_known_yet";
        case refusal_of_key::scope: break;
    }
    return "scope";
}

std::string challenge(refusal_of_key why, scope needed)
{
    std::string made = R"(Bearer realm="sandboxd")";
    switch (why) {
        case refusal_of_key::not_known_yet: return {};  // nobody shall look for another key
        case refusal_of_key::missing: break;            // nothing was wrong yet: RFC 6750, 3.1
        case refusal_of_key::malformed: made += R"(, error="invalid_request")"; break;
        case refusal_of_key::unknown: made += R"(, error="invalid_token")"; break;
        case refusal_of_key::scope:
            made += R"(, error="insufficient_scope", scope=")";
            made.append(name(needed)) += '"';
            break;
    }
    return made;
}

}  // namespace sandboxd::tenants
