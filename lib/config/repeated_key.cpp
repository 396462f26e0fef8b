#include "config/repeated_key.hpp"

#include <boost/json/basic_parser_impl.hpp>

#include <cstdint>
#include <set>

namespace sandboxd::config {

namespace json = boost::json;

namespace {

// What json::basic_parser tells, event by event; see its documentation for the names.
class key_listener {
public:
    static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);
    using error_code = boost::system::error_code;

    std::optional<std::string> found;
    std::string wanted{};   // the path of a string; empty: what is there twice
    std::size_t passed{0};  // how many of these are known already

    bool on_object_begin(error_code&)
    {
        open_.emplace_back();
        return true;
    }
    bool on_object_end(std::size_t, error_code&)
    {
        open_.pop_back();
        return true;
    }
    bool on_key_part(std::string_view part, std::size_t, error_code&)
    {
        key_ += part;
        return true;
    }
    bool on_key(std::string_view part, std::size_t, error_code& ec)
    {
        key_ += part;
        auto& object = open_.back();
        object.key = std::move(key_);
        key_.clear();
        if (!wanted.empty() || object.seen.insert(object.key).second) return true;
        if (passed > 0) {
            --passed;
            return true;
        }
        found = path();
        ec = json::error::not_exact;  // any: it ends the reading
        return false;
    }
    bool on_document_begin(error_code&) { return true; }
    bool on_document_end(error_code&) { return true; }
    bool on_array_begin(error_code&) { return true; }
    bool on_array_end(std::size_t, error_code&) { return true; }
    bool on_string_part(std::string_view part, std::size_t, error_code&)
    {
        if (!wanted.empty()) text_ += part;
        return true;
    }
    bool on_string(std::string_view part, std::size_t, error_code& ec)
    {
        if (wanted.empty()) return true;
        text_ += part;
        if (path() == wanted) {
            found = std::move(text_);
            ec = json::error::not_exact;
            return false;
        }
        text_.clear();
        return true;
    }
    bool on_number_part(std::string_view, error_code&) { return true; }
    bool on_int64(std::int64_t, std::string_view, error_code&) { return true; }
    bool on_uint64(std::uint64_t, std::string_view, error_code&) { return true; }
    bool on_double(double, std::string_view, error_code&) { return true; }
    bool on_bool(bool, error_code&) { return true; }
    bool on_null(error_code&) { return true; }
    bool on_comment_part(std::string_view, error_code&) { return true; }
    bool on_comment(std::string_view, error_code&) { return true; }

private:
    struct object {
        std::string key;  // the one that is being read
        std::set<std::string> seen{};
    };

    std::string path() const
    {
        std::string made;
        for (const auto& one : open_) made += (made.empty() ? "" : ".") + one.key;
        return made;
    }

    std::vector<object> open_;
    std::string key_;
    std::string text_;
};

}  // namespace

std::vector<repeated_key> find_repeated_keys(std::string_view text)
{
    constexpr std::size_t most = 16;
    std::vector<repeated_key> all;
    // Only a parser that stops tells where it is.
    while (all.size() < most) {
        json::basic_parser<key_listener> parser{json::parse_options{}};
        parser.handler().passed = all.size();
        boost::system::error_code ec;
        const auto used = parser.write_some(false, text.data(), text.size(), ec);
        auto& found = parser.handler().found;
        if (!found) break;
        all.push_back({std::move(*found), used});
    }
    return all;
}

std::optional<std::string> find_text(std::string_view text, std::string_view path)
{
    json::basic_parser<key_listener> parser{json::parse_options{}};
    parser.handler().wanted = path;
    boost::system::error_code ec;
    parser.write_some(false, text.data(), text.size(), ec);
    return std::move(parser.handler().found);
}

}  // namespace sandboxd::config
