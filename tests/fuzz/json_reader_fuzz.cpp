// Fuzzes the reader of strangers' JSON: what it takes is JSON to Boost.JSON's own parser too, and what that takes and
// the reader does not, it refuses with a reason; values are what that parser read.
#include "base/json_reader.hpp"
#include "base/utf8.hpp"
#include "require.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace sandboxd;
namespace json = boost::json;

namespace {

constexpr std::size_t depth = 8;
constexpr std::size_t most = 64;

struct item {
    std::string path;
    std::optional<std::int64_t> mode;
};

struct fields {
    std::optional<std::string> text;
    bool flag{false};
    std::int64_t number{0};
    std::optional<double> real;
    std::vector<std::string> texts;
    std::vector<std::pair<std::string, std::string>> map;
    std::string inner;
    std::vector<item> items;
};

json_members members(fields& into)
{
    json_members root;
    root.text("t", into.text);
    root.boolean("b", into.flag).or_null();
    root.number("n", into.number, -10, 10);
    root.number("r", into.real, -1, 1);
    root.texts("l", into.texts).or_null();
    root.text_map("m", into.map).at_most(3);
    root.object("o", [&into](json_members& its) { its.text("i", into.inner).required(); });
    root.objects<item>("f", into.items, [](item& one, json_members& its) {
        its.text("p", one.path).required();
        its.number("m", one.mode, 0, 7);
    });
    return root;
}

void compare(const fields& got, const json::object& with)
{
    const auto* const text = with.if_contains("t");
    require(got.text.has_value() == (text && text->is_string()));
    if (got.text) require(*got.text == std::string_view{text->get_string()});
    if (const auto* const number = with.if_contains("n")) require(number->to_number<std::int64_t>() == got.number);
    if (const auto* const list = with.if_contains("l"); list && list->is_array()) {
        require(list->get_array().size() == got.texts.size());
        for (std::size_t i = 0; i < got.texts.size(); ++i)
            require(got.texts[i] == std::string_view{list->get_array()[i].as_string()});
    }
    if (const auto* const map = with.if_contains("m")) {
        require(map->as_object().size() == got.map.size());
        for (const auto& [name, value] : got.map)
            require(map->as_object().at(name).as_string() == std::string_view{value});
    }
    if (const auto* const list = with.if_contains("f")) {
        require(list->as_array().size() == got.items.size());
        for (std::size_t i = 0; i < got.items.size(); ++i)
            require(got.items[i].path == std::string_view{list->as_array()[i].as_object().at("p").as_string()});
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    fields got;
    auto root = members(got);
    const auto fault = read_json(text, root, {.max_depth = depth, .max_members = most});
    json::parse_options options;
    options.max_depth = depth;
    boost::system::error_code ec;
    const auto value = json::parse({text.data(), text.size()}, ec, {}, options);
    if (!fault) {
        require(!ec && value.is_object());
        compare(got, value.get_object());
        return 0;
    }
    require(!fault->message.empty() && is_valid_utf8(fault->message));
    switch (fault->what) {
        case json_fault::kind::syntax: require(ec.failed()); break;
        case json_fault::kind::no_object: require(!ec && !value.is_object()); break;
        case json_fault::kind::member: require(!ec && value.is_object()); break;
        case json_fault::kind::too_many: require(size > most); break;
        case json_fault::kind::too_long: require(got.map.size() == 3); break;
    }
    return 0;
}
