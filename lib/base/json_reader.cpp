#include "base/json_reader.hpp"

#include "base/text.hpp"
#include "base/utf8.hpp"

#include <boost/json/basic_parser_impl.hpp>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <memory>

namespace sandboxd {

namespace json = boost::json;

using member = json_members::member;

member& member::required()
{
    is_required_ = true;
    return *this;
}

member& member::or_null()
{
    takes_null_ = true;
    return *this;
}

member& member::at_most(std::size_t most, error otherwise)
{
    most_ = most;
    otherwise_ = std::move(otherwise);
    return *this;
}

member& member::means(std::string_view text)
{
    means_ = text;
    return *this;
}

member& member::set_by(std::string_view most_key, std::string_view usual_key)
{
    most_key_ = most_key;
    usual_key_ = usual_key;
    return *this;
}

member& json_members::add(std::string_view name, member::target into, bool takes_null)
{
    // Members are large to move, and this is done for each request.
    constexpr std::size_t usual_members = 16;
    if (all_.empty()) all_.reserve(usual_members);
    all_.push_back(member{name, std::move(into), takes_null});
    return all_.back();
}

member* json_members::find(std::string_view name)
{
    const auto found = std::ranges::find(all_, name, &member::name_);
    return found == all_.end() ? nullptr : &*found;
}

std::string_view json_members::nearest(std::string_view name) const
{
    constexpr std::size_t longest = 64;
    std::string_view found;
    if (name.size() > longest) return found;
    // One slip for every three letters.
    auto least = name.size() / 3 + 1;
    for (const auto& one : all_) {
        if (const auto far = edit_distance(name, one.name_); far < least) {
            least = far;
            found = one.name_;
        }
    }
    return found;
}

bool json_members::has(std::string_view name) const
{
    const auto found = std::ranges::find(all_, name, &member::name_);
    return found != all_.end() && found->is_there_;
}

member& json_members::anything(std::string_view name, bool& is_there)
{
    return add(name, member::anything_at_all{&is_there});
}

member& json_members::text(std::string_view name, std::string& into) { return add(name, &into); }

member& json_members::text(std::string_view name, std::optional<std::string>& into) { return add(name, &into, true); }

member& json_members::boolean(std::string_view name, bool& into) { return add(name, &into); }

member& json_members::number(std::string_view name, std::int64_t& into, std::int64_t low, std::int64_t high)
{
    return add(name, member::integer{&into, low, high});
}

member& json_members::number(std::string_view name, std::optional<std::int64_t>& into, std::int64_t low,
                             std::int64_t high)
{
    return add(name, member::optional_integer{&into, low, high}, true);
}

member& json_members::number(std::string_view name, std::optional<double>& into, double low, double high)
{
    return add(name, member::real{&into, low, high}, true);
}

member& json_members::texts(std::string_view name, std::vector<std::string>& into) { return add(name, &into); }

member& json_members::text_map(std::string_view name, std::vector<std::pair<std::string, std::string>>& into)
{
    return add(name, member::text_map{&into});
}

member& json_members::object(std::string_view name, std::function<void(json_members&)> describe)
{
    return add(name, member::nested{std::move(describe)});
}

std::vector<json_member_info> list_members(const json_members& root)
{
    using kind = json_member_info::kind;
    // Beyond it, doubles have gaps; whoever allows it means any number.
    constexpr std::int64_t exact = std::int64_t{1} << 53;
    std::vector<json_member_info> all;
    for (const auto& one : root.all_) {
        json_member_info info{.name = one.name_,
                              .is_required = one.is_required_,
                              .takes_null = one.takes_null_,
                              .means = one.means_,
                              .most_key = one.most_key_,
                              .usual_key = one.usual_key_};
        const auto bounds = [&info](std::int64_t low, std::int64_t high) {
            info.what = kind::integer;
            if (low > -exact) info.low = static_cast<double>(low);
            if (high < exact) info.high = static_cast<double>(high);
        };
        const auto nested = [&info](const std::function<void(json_members&)>& describe) {
            json_members its;
            describe(its);
            info.members = list_members(its);
        };
        if (std::holds_alternative<member::anything_at_all>(one.into_)) info.what = kind::anything;
        if (std::holds_alternative<bool*>(one.into_)) info.what = kind::boolean;
        if (const auto* const number = std::get_if<member::integer>(&one.into_)) bounds(number->low, number->high);
        if (const auto* const number = std::get_if<member::optional_integer>(&one.into_))
            bounds(number->low, number->high);
        if (const auto* const number = std::get_if<member::real>(&one.into_)) {
            info.what = kind::real;
            info.low = number->low;
            info.high = number->high;
        }
        if (std::holds_alternative<std::vector<std::string>*>(one.into_)) info.what = kind::texts;
        if (std::holds_alternative<member::text_map>(one.into_)) info.what = kind::text_map;
        if (const auto* const object = std::get_if<member::nested>(&one.into_)) {
            info.what = kind::object;
            nested(object->describe);
        }
        if (const auto* const list = std::get_if<member::list>(&one.into_)) {
            info.what = kind::objects;
            nested(list->add);
        }
        if (one.most_ != static_cast<std::size_t>(-1)) info.most = one.most_;
        all.push_back(std::move(info));
    }
    return all;
}

namespace {

// Shortens a name that the sender chose; the rest of a message is ours.
std::string shown(std::string_view name)
{
    constexpr std::size_t most_shown = 120;
    return std::string{utf8_prefix(name, most_shown)} + (name.size() > most_shown ? "…" : "");
}

std::string between(std::int64_t low, std::int64_t high)
{
    return "must be between " + std::to_string(low) + " and " + std::to_string(high);
}

std::string plain(double number)
{
    auto text = std::to_string(number);
    text.erase(text.find_last_not_of('0') + 1);
    if (text.ends_with('.')) text.pop_back();
    return text;
}

template <class... Cases>
struct overloaded : Cases... {
    using Cases::operator()...;
};

}  // namespace

// The events of json::basic_parser.
// https://www.boost.org/doc/libs/1_83_0/libs/json/doc/html/json/ref/boost__json__basic_parser.html
class json_handler {
public:
    static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);

    json_handler(json_members& root, std::size_t max_members) : root_{root}, max_members_{max_members} {}

    std::optional<json_fault> fault;

    bool on_document_begin(boost::system::error_code&) { return true; }
    bool on_document_end(boost::system::error_code&) { return true; }

    bool on_object_begin(boost::system::error_code& ec)
    {
        if (is_skipping()) return nest();
        if (open_.empty()) {
            open_.push_back({.where = place::object, .members = &root_});
            return true;
        }
        if (!begin_item(ec)) return false;
        auto& at = open_.back();
        if (at.where == place::object && is_passed(at)) return nest();
        if (at.where != place::map) {
            auto* const wanted = at.where == place::object ? at.current : at.list;
            if (const auto* const nested = std::get_if<member::nested>(&wanted->into_); nested)
                return describe(nested->describe);
            if (const auto* const list = std::get_if<member::list>(&wanted->into_); list && at.where == place::list)
                return describe(list->add);
            if (const auto* const map = std::get_if<member::text_map>(&wanted->into_); map) {
                map->into->clear();
                open_.push_back({.where = place::map, .list = wanted, .pairs = map});
                return true;
            }
        }
        return mismatch("an object");
    }
    bool on_object_end(std::size_t, boost::system::error_code&)
    {
        if (fault) return true;
        if (depth_skipped_ > 0) return leave();
        auto& at = open_.back();
        if (at.where == place::map) {
            if (const auto* const twice = name_given_twice(*at.pairs->into)) {
                at.key = *twice;
                return fail("comes twice");
            }
        } else {
            for (auto& one : at.members->all_) {
                if (!one.is_required_ || one.is_there_) continue;
                at.current = &one;
                return fail("is required");
            }
        }
        open_.pop_back();
        return true;
    }

    bool on_array_begin(boost::system::error_code& ec)
    {
        if (is_skipping()) return nest();
        if (open_.empty()) return no_object();
        if (!begin_item(ec)) return false;
        auto& at = open_.back();
        if (at.where == place::object) {
            if (is_passed(at)) return nest();
            auto* const* const texts = std::get_if<std::vector<std::string>*>(&at.current->into_);
            if (texts) (*texts)->clear();
            if (texts || std::holds_alternative<member::list>(at.current->into_)) {
                open_.push_back({.where = place::list, .list = at.current});
                return true;
            }
        }
        return mismatch("an array");
    }
    bool on_array_end(std::size_t, boost::system::error_code&)
    {
        if (fault) return true;
        if (depth_skipped_ > 0) return leave();
        open_.pop_back();
        return true;
    }

    bool on_key_part(json::string_view part, std::size_t, boost::system::error_code&)
    {
        if (!is_skipping()) name_.append(part.data(), part.size());
        return true;
    }
    bool on_key(json::string_view part, std::size_t, boost::system::error_code& ec)
    {
        if (!count(ec)) return false;
        if (is_skipping()) return true;
        std::string_view name{part.data(), part.size()};
        if (!name_.empty()) name = name_.append(name);
        const bool fine = begin_member(name, ec);
        name_.clear();
        return fine;
    }

    bool on_string_part(json::string_view part, std::size_t, boost::system::error_code& ec)
    {
        if (!is_in_string_) {
            is_in_string_ = true;
            text_ = nullptr;
            if (!begin_text(ec)) return false;
        }
        if (text_) text_->append(part.data(), part.size());
        return true;
    }
    bool on_string(json::string_view part, std::size_t size, boost::system::error_code& ec)
    {
        const bool fine = on_string_part(part, size, ec);
        is_in_string_ = false;
        return fine;
    }

    bool on_number_part(json::string_view, boost::system::error_code&) { return true; }
    bool on_int64(std::int64_t number, json::string_view, boost::system::error_code& ec)
    {
        return scalar("an integer", ec, [&](member& one) {
            if (auto* const real = std::get_if<member::real>(&one.into_))
                return put(*real, static_cast<double>(number));
            return put_integer(one, number);
        });
    }
    bool on_uint64(std::uint64_t number, json::string_view, boost::system::error_code& ec)
    {
        return scalar("an integer", ec, [&](member& one) {
            if (auto* const real = std::get_if<member::real>(&one.into_))
                return put(*real, static_cast<double>(number));
            if (const auto range = range_of(one)) return fail(out_of(*range, one, true));
            return false;
        });
    }
    bool on_double(double number, json::string_view, boost::system::error_code& ec)
    {
        return scalar("a number with a fraction", ec, [&](member& one) {
            if (auto* const real = std::get_if<member::real>(&one.into_)) return put(*real, number);
            constexpr double bound = 9223372036854775808.0;  // 2^63
            if (!(number >= -bound && number < bound) || std::trunc(number) != number) return false;
            return put_integer(one, static_cast<std::int64_t>(number));
        });
    }
    bool on_bool(bool value, boost::system::error_code& ec)
    {
        return scalar("a boolean", ec, [&](member& one) {
            auto* const into = std::get_if<bool*>(&one.into_);
            if (into) **into = value;
            return into != nullptr;
        });
    }
    bool on_null(boost::system::error_code& ec)
    {
        return scalar("null", ec, [](const member& one) { return one.takes_null_; });
    }

    bool on_comment_part(json::string_view, boost::system::error_code&) { return true; }
    bool on_comment(json::string_view, boost::system::error_code&) { return true; }

private:
    enum class place { object, list, map };
    struct level {
        place where;
        json_members* members{nullptr};          // of an object: `root_`, or `own`
        std::unique_ptr<json_members> own{};     // NOLINT(readability-redundant-member-init): designated above
        member* current{nullptr};                // of an object: whose value comes; null: nobody's
        member* list{nullptr};                   // of a list or map: whose items these are
        std::size_t items{0};                    // of a list: so many have begun
        const member::text_map* pairs{nullptr};  // of a map
        std::string key{};                       // of a map: whose value comes
    };

    // After the first fault everything is skipped, because the text may still turn out not to be JSON.
    bool is_skipping() const { return fault.has_value() || depth_skipped_ > 0; }
    bool nest()
    {
        if (!fault) ++depth_skipped_;
        return true;
    }
    bool leave()
    {
        --depth_skipped_;
        return true;
    }

    // Of an object: the coming value is nobody's, or its member takes anything.
    static bool is_passed(const level& at)
    {
        if (!at.current) return true;
        const auto* const any = std::get_if<member::anything_at_all>(&at.current->into_);
        if (any) *any->is_there = true;
        return any != nullptr;
    }

    bool count(boost::system::error_code& ec)
    {
        if (members_++ < max_members_) return true;
        fault = {json_fault::kind::too_many,
                 "more than " + std::to_string(max_members_) + " members and items of lists: send fewer"};
        ec = json::error::object_too_large;
        return false;
    }
    // A value begins; in a list it is the next item.
    bool begin_item(boost::system::error_code& ec)
    {
        if (open_.empty() || open_.back().where != place::list) return true;
        if (open_.back().items == open_.back().list->most_) return too_long(" items", ec);
        ++open_.back().items;
        return count(ec);
    }
    bool begin_member(std::string_view name, boost::system::error_code& ec)
    {
        auto& at = open_.back();
        if (at.where == place::map) {
            if (at.pairs->into->size() >= at.list->most_) return too_long(" members", ec);
            at.key = name;
            at.pairs->into->emplace_back(name, std::string{});
            return true;
        }
        at.current = at.members->find(name);
        if (!at.current && !at.members->takes_others_) {
            if (fault) return true;
            auto said = path(shown(name)) + " is not known here";
            if (const auto meant = at.members->nearest(name); !meant.empty())
                said.append("; did you mean ").append(meant) += '?';
            fault = {json_fault::kind::member, std::move(said)};
            return true;
        }
        if (at.current && std::exchange(at.current->is_there_, true)) return fail("comes twice");
        return true;
    }
    bool describe(const std::function<void(json_members&)>& how)
    {
        auto own = std::make_unique<json_members>();
        how(*own);
        auto* const members = own.get();
        open_.push_back({.where = place::object, .members = members, .own = std::move(own)});
        return true;
    }

    bool begin_text(boost::system::error_code& ec)
    {
        if (is_skipping()) return true;
        if (open_.empty()) return no_object();
        if (!begin_item(ec)) return false;
        auto& at = open_.back();
        if (at.where == place::map) {
            text_ = &at.pairs->into->back().second;
            return true;
        }
        if (at.where == place::list) {
            auto* const* const texts = std::get_if<std::vector<std::string>*>(&at.list->into_);
            if (!texts) return mismatch("a string");
            text_ = &(*texts)->emplace_back();
            return true;
        }
        if (is_passed(at)) return true;
        if (auto* const* const text = std::get_if<std::string*>(&at.current->into_)) {
            text_ = *text;
            text_->clear();
        } else if (auto* const* const optional = std::get_if<std::optional<std::string>*>(&at.current->into_)) {
            text_ = &(*optional)->emplace();
        } else {
            return mismatch("a string");
        }
        return true;
    }
    // `put` returns whether the member takes such a value.
    template <class Put>
    bool scalar(std::string_view kind, boost::system::error_code& ec, Put put)
    {
        if (is_skipping()) return true;
        if (open_.empty()) return no_object();
        if (!begin_item(ec)) return false;
        auto& at = open_.back();
        if (at.where == place::object) {
            if (is_passed(at)) return true;
            if (put(*at.current)) return true;
        }
        return mismatch(kind);
    }

    // What is too much names the key that would allow it.
    static std::string out_of(const std::pair<std::int64_t, std::int64_t>& range, const member& one, bool is_too_much)
    {
        auto text = between(range.first, range.second);
        if (is_too_much && !one.most_key_.empty()) text += " (" + std::string{one.most_key_} + ")";
        return text;
    }
    static std::optional<std::pair<std::int64_t, std::int64_t>> range_of(const member& one)
    {
        if (const auto* const plain = std::get_if<member::integer>(&one.into_)) return {{plain->low, plain->high}};
        if (const auto* const optional = std::get_if<member::optional_integer>(&one.into_))
            return {{optional->low, optional->high}};
        return std::nullopt;
    }
    bool put_integer(member& one, std::int64_t number)
    {
        const auto range = range_of(one);
        if (!range) return false;
        if (number < range->first || number > range->second) return fail(out_of(*range, one, number > range->second));
        if (auto* const plain = std::get_if<member::integer>(&one.into_))
            *plain->into = number;
        else
            *std::get<member::optional_integer>(one.into_).into = number;
        return true;
    }
    static bool put(const member::real& into, double number)
    {
        if (!(number >= into.low && number <= into.high)) return false;
        *into.into = number;
        return true;
    }

    bool no_object()
    {
        fault = {json_fault::kind::no_object, "must be an object"};
        return true;
    }
    // Records a fault of the coming value. Returns true, so that the rest is still checked for its syntax.
    bool fail(std::string_view what)
    {
        if (fault) return true;
        const auto& at = open_.back();
        fault = {json_fault::kind::member, path() + " " + std::string{what},
                 at.where == place::map ? shown(at.key) : std::string{}};
        return true;
    }
    // The list or map that is open has one item more than it may.
    bool too_long(std::string_view of_what, boost::system::error_code& ec)
    {
        const auto& whose = *open_.back().list;
        open_.pop_back();
        auto message = whose.otherwise_.message;
        if (message.empty()) {
            message = path() + " has more than " + std::to_string(whose.most_) + std::string{of_what};
            if (!whose.most_key_.empty()) message += " (" + std::string{whose.most_key_} + ")";
        }
        fault = {json_fault::kind::too_long, std::move(message), {}, whose.otherwise_.code};
        ec = json::error::array_too_large;
        return false;
    }
    bool mismatch(std::string_view got)
    {
        const auto& at = open_.back();
        const auto not_this = ", not " + std::string{got};
        if (at.where == place::map) return fail("must be a string" + not_this);
        if (at.where == place::list) {
            if (const auto* const list = std::get_if<member::list>(&at.list->into_))
                return fail("must be " + list->what);
            return fail("must be a string" + not_this);
        }
        return fail(std::visit(overloaded{
                                   [&](const member::anything_at_all&) { return "must be a value" + not_this; },
                                   [&](std::string*) { return "must be a string" + not_this; },
                                   [&](std::optional<std::string>*) { return "must be a string" + not_this; },
                                   [&](bool*) { return "must be true or false" + not_this; },
                                   [&](const member::integer&) { return "must be an integer" + not_this; },
                                   [&](const member::optional_integer&) { return "must be an integer" + not_this; },
                                   [](const member::real& range) {
                                       return "must be a number from " + plain(range.low) + " to " + plain(range.high);
                                   },
                                   [&](const std::vector<std::string>*) { return "must be an array" + not_this; },
                                   [&](const member::text_map&) { return "must be an object" + not_this; },
                                   [&](const member::nested&) { return "must be an object" + not_this; },
                                   [&](const member::list&) { return "must be an array" + not_this; },
                               },
                               at.current->into_));
    }
    // `nobody`: the name of a member that is nobody's.
    std::string path(const std::string& nobody = {}) const
    {
        std::string text;
        for (const auto& at : open_) {
            if (at.where == place::list) {
                text += "[" + std::to_string(at.items - 1) + "]";
            } else {
                if (!text.empty()) text += '.';
                text += at.where == place::map ? shown(at.key) : at.current ? std::string{at.current->name_} : nobody;
            }
        }
        return text;
    }

    static const std::string* name_given_twice(const std::vector<std::pair<std::string, std::string>>& pairs)
    {
        std::vector<const std::string*> names;
        names.reserve(pairs.size());
        for (const auto& one : pairs) names.push_back(&one.first);
        const auto less = [](const std::string* a, const std::string* b) { return *a < *b; };
        std::ranges::sort(names, less);
        const auto same = [](const std::string* a, const std::string* b) { return *a == *b; };
        const auto twice = std::ranges::adjacent_find(names, same);
        return twice == names.end() ? nullptr : *twice;
    }

    json_members& root_;
    const std::size_t max_members_;
    std::size_t members_{0};
    std::vector<level> open_;
    std::size_t depth_skipped_{0};
    std::string name_;            // the parts of a member's name that came
    std::string* text_{nullptr};  // where the parts of a string go; null: nowhere
    bool is_in_string_{false};
};

std::optional<json_fault> read_json(std::string_view text, json_members& root, const json_limits& limits)
{
    json::parse_options options;
    options.max_depth = limits.max_depth;
    json::basic_parser<json_handler> parser{options, root, limits.max_members};
    boost::system::error_code ec;
    const auto used = parser.write_some(false, text.data(), text.size(), ec);
    auto& fault = parser.handler().fault;
    if (fault && (fault->what == json_fault::kind::too_many || fault->what == json_fault::kind::too_long))
        return std::move(fault);
    if (!ec && text.find_first_not_of(" \t\r\n", used) != std::string_view::npos) ec = json::error::extra_data;
    if (ec) return json_fault{json_fault::kind::syntax, ec.message()};
    return std::move(fault);
}

}  // namespace sandboxd
