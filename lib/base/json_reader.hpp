// Reads untrusted JSON straight into the fields that ask for it.
//
// No tree is built: the hash of Boost.JSON's objects is predictable, so chosen member names could make one request as
// expensive as thousands. Unknown members are skipped while reading and cost no memory. Known ones are checked for
// their kind, and a fault is named by its path: `files[2].path`. A request declares its members once:
//
//     json_members root;
//     root.text("code", code).required();
//     root.objects<file>("files", files, [](file& one, json_members& its) { its.text("path", one.path); });
//     if (const auto fault = read_json(body, root)) return invalid_request(fault->message);
#pragma once

#include "base/errc.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace sandboxd {

class json_handler;
struct json_member_info;

struct json_limits {
    std::size_t max_depth{32};  // nested objects and arrays
    // Members of all objects, known or not, and the items of known arrays, together.
    std::size_t max_members{100'000};
};

// The members that an object may have, and the target of each value. An absent member leaves its target alone. A
// value of another kind is a fault, and so is `null`, except for std::optional targets and after or_null(): there it
// counts as absent. A known member that comes twice is a fault. The names and the targets must outlive the reading.
// After a fault the targets may hold anything.
class json_members {
public:
    class member {
    public:
        // Its absence is a fault: "<path> is required".
        member& required();
        member& or_null();
        // Of a list or a text_map. What is longer is no longer read: one item too many ends the reading with
        // `otherwise`, whatever follows. Without a message it is "<path> has more than <most> items" (or members), and
        // the key that set_by() was told.
        member& at_most(std::size_t most, error otherwise = {errc::invalid_request, {}});
        // For those who describe the request, see list_members(). What the member is for, and the configuration's keys
        // of its maximum and of its default. The texts are literals.
        member& means(std::string_view text);
        member& set_by(std::string_view most_key, std::string_view usual_key = {});

    private:
        friend class json_members;
        friend class json_handler;
        friend std::vector<json_member_info> list_members(const json_members& root);

        struct integer {
            std::int64_t* into;
            std::int64_t low;
            std::int64_t high;
        };
        struct optional_integer {
            std::optional<std::int64_t>* into;
            std::int64_t low;
            std::int64_t high;
        };
        struct real {
            std::optional<double>* into;
            double low;
            double high;
        };
        struct text_map {
            std::vector<std::pair<std::string, std::string>>* into;
        };
        struct nested {
            std::function<void(json_members&)> describe;
        };
        struct list {
            std::function<void(json_members&)> add;  // an item, and tells its members
            std::string what;                        // "an object with path and content"
        };
        // Any value, `null` as well: it is skipped, and counted like those of unknown members.
        struct anything_at_all {
            bool* is_there;
        };
        using target = std::variant<anything_at_all, std::string*, std::optional<std::string>*, bool*, integer,
                                    optional_integer, real, std::vector<std::string>*, text_map, nested, list>;

        member(std::string_view name, target into, bool takes_null)
            : name_{name}, into_{std::move(into)}, takes_null_{takes_null}
        {
        }

        std::string_view name_;
        target into_;
        bool takes_null_;
        bool is_required_{false};
        bool is_there_{false};
        std::size_t most_{static_cast<std::size_t>(-1)};
        error otherwise_{errc::invalid_request, {}};
        std::string_view means_{};
        std::string_view most_key_{};
        std::string_view usual_key_{};
    };

    member& text(std::string_view name, std::string& into);
    member& text(std::string_view name, std::optional<std::string>& into);
    member& boolean(std::string_view name, bool& into);
    // Integers; a number with a fraction of zero is one too. Both bounds are allowed.
    member& number(std::string_view name, std::int64_t& into, std::int64_t low, std::int64_t high);
    member& number(std::string_view name, std::optional<std::int64_t>& into, std::int64_t low, std::int64_t high);
    // Any finite number.
    member& number(std::string_view name, std::optional<double>& into, double low, double high);
    // An array of strings.
    member& texts(std::string_view name, std::vector<std::string>& into);
    // An object with names that the sender chooses and strings as values: in the order sent, none twice.
    member& text_map(std::string_view name, std::vector<std::pair<std::string, std::string>>& into);
    // A value of any kind, that is only looked past: `is_there` becomes true.
    member& anything(std::string_view name, bool& is_there);
    // An object; `describe` declares its members when it begins.
    member& object(std::string_view name, std::function<void(json_members&)> describe);
    // An array of objects; `describe` gets each new item. `what` names an item in a fault's message.
    template <class Item>
    member& objects(std::string_view name, std::vector<Item>& into, std::function<void(Item&, json_members&)> describe,
                    std::string what = "an object")
    {
        return add(name, member::list{[&into, describe = std::move(describe)](json_members& its) {
                                          describe(into.emplace_back(), its);
                                      },
                                      std::move(what)});
    }

    // Makes every other member a fault: "<path> is not known here; did you mean <name>?". For what an operator writes,
    // whose slip must not pass for a wish.
    void no_others() noexcept { takes_others_ = false; }

    // Whether the member was there, be it null.
    bool has(std::string_view name) const;

private:
    friend class json_handler;
    friend std::vector<json_member_info> list_members(const json_members& root);

    member& add(std::string_view name, member::target into, bool takes_null = false);
    member* find(std::string_view name);
    // The member that was probably meant by an unknown name; empty: none.
    std::string_view nearest(std::string_view name) const;

    std::vector<member> all_;
    bool takes_others_{true};
};

// What json_members were told of a member. The texts are those that it was told.
struct json_member_info {
    enum class kind { text, boolean, integer, real, texts, text_map, object, objects, anything };

    std::string_view name;
    kind what{kind::text};
    bool is_required{false};
    bool takes_null{false};
    std::optional<double> low{};  // of a number; nullopt: any
    std::optional<double> high{};
    std::optional<std::size_t> most{};  // items of a list, members of a text_map
    std::string_view means{};
    std::string_view most_key{};
    std::string_view usual_key{};
    std::vector<json_member_info> members{};  // of an object, or of each object of a list
};

// The members that `root` declares, in that order: what read_json() reads, as data. Nested members are declared anew
// for it, so the targets of lists may grow.
std::vector<json_member_info> list_members(const json_members& root);

struct json_fault {
    enum class kind {
        syntax,     // not JSON (RFC 8259), or too deep; `message` is Boost.JSON's
        no_object,  // JSON, but not an object
        member,     // `message` begins with a member's path
        too_many,   // more than max_members; "more than 100000 members and items of lists: send fewer"
        too_long,   // a list or text_map that holds more than it may; `message` and `code` as at_most() was told
    };
    kind what;
    std::string message;
    // The name that the sender chose, where the member is one of a text_map: the end of its path, as far as shown.
    std::string chosen_name{};
    errc code{errc::invalid_request};
};

// Reads an object. Returns nullopt when it is what `root` declares. Time is proportional to the text, memory to the
// members that `root` asks for. A text that is not JSON is reported as such, whatever else is wrong with it, except
// that too_many and too_long end the reading at once.
std::optional<json_fault> read_json(std::string_view text, json_members& root, const json_limits& limits = {});

}  // namespace sandboxd
