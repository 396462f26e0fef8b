#include "script/json_text.hpp"

#include "base/ascii.hpp"
#include "base/utf8.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace sandboxd::script {

namespace {

class checker {
public:
    explicit checker(std::string_view text) : at_{text.data()}, end_{text.data() + text.size()} {}

    bool run()
    {
        while (expects_value_ || !open_.empty())
            if (!(expects_value_ ? value() : next())) return false;
        space();
        return at_ == end_;
    }

private:
    void space()
    {
        while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
    }
    bool eat(char wanted)
    {
        if (at_ == end_ || *at_ != wanted) return false;
        ++at_;
        return true;
    }
    bool word(std::string_view wanted)
    {
        if (static_cast<std::size_t>(end_ - at_) < wanted.size() || std::string_view{at_, wanted.size()} != wanted)
            return false;
        at_ += wanted.size();
        return true;
    }
    bool digits()
    {
        const char* const start = at_;
        while (at_ != end_ && *at_ >= '0' && *at_ <= '9') ++at_;
        return at_ != start;
    }

    // A value; of an array or an object only its beginning, the rest is `next`'s: nothing here
    // recurses.
    bool value()
    {
        space();
        if (at_ == end_) return false;
        expects_value_ = false;
        switch (*at_) {
            case '"': return string();
            case 't': return word("true");
            case 'f': return word("false");
            case 'n': return word("null");
            case '[': return begin(']');
            case '{': return begin('}');
            default: return number();
        }
    }
    bool begin(char end)
    {
        ++at_;
        space();
        if (eat(end)) return true;
        open_.push_back(end);
        return item();
    }
    bool item()
    {
        expects_value_ = true;
        if (open_.back() == ']') return true;
        space();
        if (!string()) return false;
        space();
        return eat(':');
    }
    bool next()
    {
        space();
        if (eat(open_.back())) {
            open_.pop_back();
            return true;
        }
        return eat(',') && item();
    }
    bool number()
    {
        eat('-');
        if (!eat('0') && !digits()) return false;
        if (eat('.') && !digits()) return false;
        if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
            ++at_;
            if (!eat('+')) eat('-');
            return digits();
        }
        return true;
    }
    // Past what a string may hold as it is, eight bytes at a time: an answer of megabytes is mostly that.
    // https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord
    void skip_plain()
    {
        constexpr std::uint64_t ones = 0x0101'0101'0101'0101;
        constexpr std::uint64_t high_bits = ones * 0x80;
        constexpr std::uint64_t quotes = ones * '"';
        constexpr std::uint64_t backslashes = ones * '\\';
        // Below n, for n up to 128, where the high bit is not set; with n = 1: zero.
        const auto has_less = [](std::uint64_t eight, std::uint64_t n) {
            return (eight - ones * n) & ~eight & high_bits;
        };
        for (std::uint64_t eight = 0; static_cast<std::size_t>(end_ - at_) >= sizeof eight; at_ += sizeof eight) {
            std::memcpy(&eight, at_, sizeof eight);
            if ((has_less(eight, 0x20) | has_less(eight ^ quotes, 1) | has_less(eight ^ backslashes, 1)) != 0) return;
        }
    }
    bool string()
    {
        if (!eat('"')) return false;
        for (skip_plain(); at_ != end_; skip_plain()) {
            const char one = *at_++;
            if (one == '"') return true;
            if (static_cast<unsigned char>(one) < 0x20) return false;
            if (one == '\\' && !escape()) return false;
        }
        return false;
    }
    bool escape()
    {
        if (at_ == end_) return false;
        const char kind = *at_++;
        if (kind != 'u') return std::string_view{"\"\\/bfnrt"}.find(kind) != std::string_view::npos;
        for (int i = 0; i < 4; ++i, ++at_) {
            if (at_ == end_) return false;
            const char one = *at_;
            if (!((one >= '0' && one <= '9') || (one >= 'a' && one <= 'f') || (one >= 'A' && one <= 'F'))) return false;
        }
        return true;
    }

    const char* at_;
    const char* end_;
    std::vector<char> open_;
    bool expects_value_{true};
};

// The four digits of an escape; -1: they are not all there.
int code_unit(std::string_view digits)
{
    constexpr std::size_t length = 4;
    if (digits.size() < length) return -1;
    int unit = 0;
    for (const char one : digits.substr(0, length)) {
        const int value = hex_value(one);
        if (value < 0) return -1;
        unit = unit * 16 + value;
    }
    return unit;
}

void append_utf8(std::string& into, unsigned code)
{
    const auto trailing = [code](unsigned shift) { return static_cast<char>(0x80 | ((code >> shift) & 0x3f)); };
    if (code < 0x80) {
        into += static_cast<char>(code);
    } else if (code < 0x800) {
        into += static_cast<char>(0xc0 | (code >> 6));
        into += trailing(0);
    } else if (code < 0x10000) {
        into += static_cast<char>(0xe0 | (code >> 12));
        into += trailing(6);
        into += trailing(0);
    } else {
        into += static_cast<char>(0xf0 | (code >> 18));
        into += trailing(12);
        into += trailing(6);
        into += trailing(0);
    }
}

// The character that an escape `u` names, `text` beginning with its digits; what it is made of is taken off.
unsigned take_character(std::string_view& text)
{
    constexpr unsigned replacement = 0xfffd;
    constexpr std::size_t digits = 4;
    const int first = code_unit(text);
    text.remove_prefix(std::min(digits, text.size()));
    if (first < 0) return replacement;
    if (first < 0xd800 || first > 0xdfff) return static_cast<unsigned>(first);
    if (first > 0xdbff || !text.starts_with("\\u")) return replacement;
    const int second = code_unit(text.substr(2));
    if (second < 0xdc00 || second > 0xdfff) return replacement;
    text.remove_prefix(2 + digits);
    return 0x10000 + ((static_cast<unsigned>(first) - 0xd800) << 10) + (static_cast<unsigned>(second) - 0xdc00);
}

// Appends a string without its quotes and escapes; `text` begins behind the first quote and is left behind the last.
void take_string(std::string& into, std::string_view& text)
{
    while (!text.empty()) {
        const auto plain = std::min(text.find_first_of("\"\\"), text.size());
        into += text.substr(0, plain);
        text.remove_prefix(plain);
        if (text.empty()) return;
        const bool is_end = text.front() == '"';
        text.remove_prefix(1);
        if (is_end || text.empty()) return;
        const char kind = text.front();
        text.remove_prefix(1);
        switch (kind) {
            case 'b': into += '\b'; break;
            case 'f': into += '\f'; break;
            case 'n': into += '\n'; break;
            case 'r': into += '\r'; break;
            case 't': into += '\t'; break;
            case 'u': append_utf8(into, take_character(text)); break;
            default: into += kind;
        }
    }
}

// How long the value is that `text` begins with, and that is no string.
std::size_t value_size(std::string_view text)
{
    std::size_t depth = 0;
    bool is_string = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char one = text[i];
        if (is_string) {
            if (one == '\\') ++i;
            is_string = one != '"';
        } else if (one == '"') {
            is_string = true;
        } else if (one == '[' || one == '{') {
            ++depth;
        } else if (depth == 0 && (one == ',' || one == ']')) {
            return i;
        } else if (depth > 0 && (one == ']' || one == '}')) {
            --depth;
        }
    }
    return text.size();
}

}  // namespace

bool is_json(std::string_view text) { return is_valid_utf8(text) && checker{text}.run(); }

bool is_json_array(std::string_view text) { return text.starts_with('[') && is_json(text); }

void append_elements(std::string& into, std::string_view array)
{
    const auto skip_space = [&array] {
        array.remove_prefix(std::min(array.find_first_not_of(" \t\r\n"), array.size()));
    };
    if (!array.starts_with('[')) return;
    array.remove_prefix(1);
    skip_space();
    for (bool first = true; !array.empty() && array.front() != ']'; first = false) {
        if (!first) into += ' ';
        if (array.front() == '"') {
            array.remove_prefix(1);
            take_string(into, array);
        } else {
            const auto value = array.substr(0, value_size(array));
            into += value.substr(0, value.find_last_not_of(" \t\r\n") + 1);
            array.remove_prefix(value.size());
        }
        skip_space();
        if (array.starts_with(',')) array.remove_prefix(1);
        skip_space();
    }
}

}  // namespace sandboxd::script
