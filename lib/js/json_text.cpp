#include "js/json_text.hpp"

#include "base/utf8.hpp"

#include <vector>

namespace sandboxd::js {

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
    bool string()
    {
        if (!eat('"')) return false;
        while (at_ != end_) {
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

}  // namespace

bool is_json(std::string_view text) { return is_valid_utf8(text) && checker{text}.run(); }

bool is_json_array(std::string_view text) { return text.starts_with('[') && is_json(text); }

}  // namespace sandboxd::js
