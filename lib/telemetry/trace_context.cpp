#include "telemetry/trace_context.hpp"

#include "base/ascii.hpp"

#include <algorithm>

namespace sandboxd::telemetry {

namespace {

constexpr std::size_t trace_at = 3;
constexpr std::size_t span_at = 36;
constexpr std::size_t flags_at = 53;
constexpr unsigned sampled_flag = 1;

constexpr std::size_t longest_key = 256;
constexpr std::size_t longest_tenant = 241;
constexpr std::size_t longest_system = 14;
constexpr std::size_t longest_value = 256;
// Of an entry that is left out before others are.
constexpr std::size_t long_member = 128;

bool is_hex(std::string_view text) noexcept { return std::ranges::all_of(text, is_lower_hex); }

bool is_zero(std::string_view digits) noexcept { return digits.find_first_not_of('0') == std::string_view::npos; }

bool is_key_part(std::string_view text) noexcept
{
    return std::ranges::all_of(
        text, [](char c) { return is_lower(c) || is_digit(c) || c == '_' || c == '-' || c == '*' || c == '/'; });
}

// key = lcalpha 0*255( … ), or ( lcalpha / DIGIT ) 0*240( … ) "@" lcalpha 0*13( … )
bool is_key(std::string_view text) noexcept
{
    const auto at = text.find('@');
    if (at == std::string_view::npos)
        return !text.empty() && text.size() <= longest_key && is_lower(text.front()) && is_key_part(text);
    const auto tenant = text.substr(0, at);
    const auto system = text.substr(at + 1);
    return !tenant.empty() && tenant.size() <= longest_tenant && is_key_part(tenant) &&
           (is_lower(tenant.front()) || is_digit(tenant.front())) && !system.empty() &&
           system.size() <= longest_system && is_lower(system.front()) && is_key_part(system);
}

// value = 0*255( chr ) nblk-chr. The blanks at its end are gone already.
bool is_value(std::string_view text) noexcept
{
    return !text.empty() && text.size() <= longest_value &&
           std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~' && c != ',' && c != '='; });
}

// The members of a list, each once.
class members {
public:
    // False: it is not valid.
    bool add(std::string_view list)
    {
        for (;;) {
            const auto comma = list.find(',');
            if (!add_one(trim(list.substr(0, comma), " \t"))) return false;
            if (comma == std::string_view::npos) return true;
            list.remove_prefix(comma + 1);
        }
    }

    std::string text(std::size_t most)
    {
        while (size() > most) leave_one_out();
        std::string made;
        made.reserve(size());
        for (std::size_t i = 0; i < count_; ++i) made.append(i == 0 ? "" : ",").append(all_[i]);
        return made;
    }

private:
    bool add_one(std::string_view member)
    {
        if (member.empty()) return true;
        const auto key = key_of(member);
        if (count_ == all_.size() || key.size() == member.size() || !is_key(key) ||
            !is_value(member.substr(key.size() + 1)))
            return false;
        for (std::size_t i = 0; i < count_; ++i)
            if (key_of(all_[i]) == key) return false;
        all_[count_++] = member;
        return true;
    }

    static std::string_view key_of(std::string_view member) noexcept { return member.substr(0, member.find('=')); }

    // With the commas.
    std::size_t size() const noexcept
    {
        std::size_t sum = count_ > 0 ? count_ - 1 : 0;
        for (std::size_t i = 0; i < count_; ++i) sum += all_[i].size();
        return sum;
    }

    // The last of the long ones; the last, where none is long.
    void leave_one_out() noexcept
    {
        std::size_t which = count_ - 1;
        for (std::size_t i = count_; i > 0; --i) {
            if (all_[i - 1].size() <= long_member) continue;
            which = i - 1;
            break;
        }
        std::copy(all_.begin() + static_cast<std::ptrdiff_t>(which) + 1,
                  all_.begin() + static_cast<std::ptrdiff_t>(count_),
                  all_.begin() + static_cast<std::ptrdiff_t>(which));
        --count_;
    }

    std::array<std::string_view, most_tracestate_members> all_;
    std::size_t count_{0};
};

}  // namespace

std::optional<trace_context> read_traceparent(std::string_view value) noexcept
{
    if (value.size() < traceparent_bytes || value[2] != '-' || value[35] != '-' || value[52] != '-')
        return std::nullopt;
    const auto version = value.substr(0, 2);
    if (!is_hex(version) || version == "ff") return std::nullopt;
    // Version 00 ends here; a later one may go on.
    if (value.size() > traceparent_bytes && (version == "00" || value[traceparent_bytes] != '-')) return std::nullopt;
    trace_context made;
    const auto trace = value.substr(trace_at, made.trace.size());
    const auto span = value.substr(span_at, made.span.size());
    const auto flags = value.substr(flags_at, 2);
    if (!is_hex(trace) || is_zero(trace) || !is_hex(span) || is_zero(span) || !is_hex(flags)) return std::nullopt;
    std::ranges::copy(trace, made.trace.begin());
    std::ranges::copy(span, made.span.begin());
    made.sampled = (static_cast<unsigned>(hex_value(flags[1])) & sampled_flag) != 0;
    return made;
}

std::string write_traceparent(const trace_context& from)
{
    std::string made;
    made.reserve(traceparent_bytes);
    made.append("00-").append(text_of(from.trace)).append("-").append(text_of(from.span));
    made += from.sampled ? "-01" : "-00";
    return made;
}

std::string read_tracestate(std::span<const std::string_view> values)
{
    members all;
    for (const auto one : values)
        if (!all.add(one)) return {};
    return all.text(most_tracestate_bytes);
}

}  // namespace sandboxd::telemetry
