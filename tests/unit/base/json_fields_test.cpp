#include "base/json_fields.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <catch2/catch_test_macros.hpp>

#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

using namespace sandboxd;
namespace json = boost::json;

namespace {

json::object object_of(std::string_view text) { return json::parse({text.data(), text.size()}).as_object(); }

// What a read says about `{"k": <value>}`; empty when it is content.
std::string complaint(std::string_view value, const std::function<void(json_fields&)>& read, std::string path = {})
{
    const auto object = object_of("{\"k\": " + std::string{value} + "}");
    json_fields fields{object, std::move(path)};
    read(fields);
    CHECK(fields.to_error().message.empty() != fields.failed());
    return fields.to_error().message;
}

struct kind_row {
    const char* value;
    const char* named;
};

const kind_row kinds[] = {
    {"null", "null"},
    {"true", "a boolean"},
    {"1", "an integer"},
    {"18446744073709551615", "an integer"},
    {"1.5", "a number with a fraction"},
    {"\"s\"", "a string"},
    {"[]", "an array"},
    {"{}", "an object"},
};

// Every kind but those in `fine` must be refused, with the kind's name.
void refuses_all_but(std::initializer_list<std::string_view> fine, const std::string& wanted,
                     const std::function<void(json_fields&)>& read)
{
    for (const auto& row : kinds) {
        CAPTURE(row.value);
        bool is_fine = false;
        for (const auto one : fine) is_fine = is_fine || one == row.value;
        if (is_fine) {
            CHECK(complaint(row.value, read).empty());
        } else {
            const auto expected = "must be " + wanted + ", not " + row.named;
            CHECK(complaint(row.value, read) == "k " + expected);
            CHECK(complaint(row.value, read, "a.b[2]") == "a.b[2].k " + expected);
        }
    }
}

}  // namespace

TEST_CASE("each read refuses the other kinds by name and path", "[base][json_fields]")
{
    refuses_all_but({"\"s\""}, "a string", [](json_fields& f) {
        std::string into;
        f.text("k", into);
    });
    refuses_all_but({"\"s\"", "null"}, "a string", [](json_fields& f) {
        std::optional<std::string> into;
        f.text("k", into);
    });
    refuses_all_but({"true"}, "true or false", [](json_fields& f) {
        bool into = false;
        f.boolean("k", into);
    });
    refuses_all_but({"[]"}, "an array", [](json_fields& f) {
        std::vector<std::string> into;
        f.texts("k", into);
    });
    refuses_all_but({"[]"}, "an array", [](json_fields& f) { f.array("k"); });
    refuses_all_but({"{}"}, "an object", [](json_fields& f) { f.object("k"); });
}

TEST_CASE("what is right is read", "[base][json_fields]")
{
    const auto object =
        object_of(R"({"s": "a\u0000b", "o": "x", "n": null, "b": true, "i": -3, "l": ["", "y"], "p": {"q": 1}})");
    json_fields fields{object, {}};
    std::string text;
    std::optional<std::string> optional;
    std::optional<std::string> nothing;
    bool flag = false;
    std::int64_t number = 0;
    std::vector<std::string> list{"old"};
    fields.text("s", text);
    fields.text("o", optional);
    fields.text("n", nothing);
    fields.boolean("b", flag);
    fields.number("i", number, -3, -3);
    fields.texts("l", list);
    const auto* nested = fields.object("p");
    CHECK(fields.others().empty());
    CHECK_FALSE(fields.failed());
    CHECK(text == std::string{"a\0b", 3});
    CHECK(optional == "x");
    CHECK(nothing == std::nullopt);
    CHECK(flag);
    CHECK(number == -3);
    CHECK(list == std::vector<std::string>{"", "y"});
    REQUIRE(nested);
    CHECK(nested->at("q").as_int64() == 1);
    CHECK(fields.has("s"));
    CHECK_FALSE(fields.has("S"));
}

TEST_CASE("an absent key leaves what is there", "[base][json_fields]")
{
    const json::object object;
    json_fields fields{object, {}};
    std::string text = "kept";
    std::optional<std::string> optional = "kept";
    bool flag = true;
    std::int64_t number = 42;
    std::vector<std::string> list{"kept"};
    fields.text("a", text);
    fields.text("b", optional);
    fields.boolean("c", flag);
    fields.number("d", number, 0, 1);
    fields.texts("e", list);
    CHECK(fields.object("f") == nullptr);
    CHECK(fields.array("g") == nullptr);
    CHECK_FALSE(fields.failed());
    CHECK(text == "kept");
    CHECK(optional == "kept");
    CHECK(flag);
    CHECK(number == 42);
    CHECK(list == std::vector<std::string>{"kept"});
    CHECK(fields.asked() == std::vector<std::string>{"a", "b", "c", "d", "e", "f", "g"});
}

TEST_CASE("numbers: kinds and ranges", "[base][json_fields]")
{
    constexpr auto least = std::numeric_limits<std::int64_t>::min();
    constexpr auto most = std::numeric_limits<std::int64_t>::max();
    struct row {
        const char* value;
        std::int64_t low;
        std::int64_t high;
        std::optional<std::int64_t> expected;
        const char* complaint;
    };
    const row rows[] = {
        {"1", 1, 10, 1, ""},
        {"10", 1, 10, 10, ""},
        {"0", 1, 10, {}, "k must be between 1 and 10"},
        {"11", 1, 10, {}, "k must be between 1 and 10"},
        {"-5", -5, -5, -5, ""},
        {"-9223372036854775808", least, most, least, ""},
        {"9223372036854775807", least, most, most, ""},
        {"9223372036854775808", 0, most, {}, "k must be between 0 and 9223372036854775807"},
        {"18446744073709551615", 0, 5, {}, "k must be between 0 and 5"},
        {"99999999999999999999", 0, 5, {}, "k must be between 0 and 5"},
        {"-1e30", 0, 5, {}, "k must be between 0 and 5"},
        {"3.0", 0, 5, 3, ""},
        {"1e1", 0, 10, 10, ""},
        {"1.5", 0, 5, {}, "k must be an integer, not a number with a fraction"},
        {"-0.5", -5, 5, {}, "k must be an integer, not a number with a fraction"},
        {"null", 0, 5, {}, "k must be an integer, not null"},
        {"true", 0, 5, {}, "k must be an integer, not a boolean"},
        {"\"3\"", 0, 5, {}, "k must be an integer, not a string"},
        {"[3]", 0, 5, {}, "k must be an integer, not an array"},
        {"{}", 0, 5, {}, "k must be an integer, not an object"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.value);
        std::int64_t into = 77;
        CHECK(complaint(row.value, [&](json_fields& f) { f.number("k", into, row.low, row.high); }) == row.complaint);
        CHECK(into == row.expected.value_or(77));
    }
}

TEST_CASE("a ratio is a number from 0 to 1", "[base][json_fields]")
{
    double into = 0.5;
    const auto read = [&into](json_fields& fields) { fields.ratio("k", into); };
    for (const auto& row : kinds) {
        CAPTURE(row.value);
        const bool is_number = std::string_view{row.value}.find_first_not_of("0123456789.") == std::string_view::npos;
        if (!is_number) CHECK(complaint(row.value, read) == std::string{"k must be a number, not "} + row.named);
    }
    for (const auto* const fine : {"0", "1", "0.0", "1.0", "0.25", "1e-3"}) {
        CAPTURE(fine);
        CHECK(complaint(fine, read).empty());
    }
    CHECK(into == 0.001);
    for (const auto* const wrong : {"-1", "-0.001", "1.001", "2", "1e300", "18446744073709551615"}) {
        CAPTURE(wrong);
        CHECK(complaint(wrong, read) == "k must be between 0 and 1");
    }
    CHECK(into == 0.001);
}

TEST_CASE("an item of the wrong kind is named by its index, and the list stays", "[base][json_fields]")
{
    std::vector<std::string> into{"kept"};
    const auto read = [&into](json_fields& f) { f.texts("k", into); };
    CHECK(complaint(R"(["a", "b", 3, null])", read) == "k[2] must be a string, not an integer");
    CHECK(complaint(R"([["a"]])", read, "p") == "p.k[0] must be a string, not an array");
    CHECK(into == std::vector<std::string>{"kept"});
}

TEST_CASE("every key that is wrong is told once, in the order of the reads", "[base][json_fields]")
{
    const auto object = object_of(R"({"a": 1, "b": 2, "c": "text", "d": {"x": 1}, "z": 0, "y": 0})");
    json_fields fields{object, "root"};
    std::string text = "kept";
    std::string right;
    fields.text("a", text);
    fields.text("b", text);
    fields.text("c", right);
    CHECK(text == "kept");
    CHECK(right == "text");
    CHECK(fields.object("d") != nullptr);
    fields.fail("c", "is not what the caller wants");
    fields.fail("a", "is wrong in another way, too");
    CHECK(fields.others() == std::vector<std::string>{"z", "y"});
    CHECK(fields.failed_at("a"));
    CHECK_FALSE(fields.failed_at("d"));
    CHECK(fields.messages() == std::vector<std::string>{"root.a must be a string, not an integer",
                                                        "root.b must be a string, not an integer",
                                                        "root.c is not what the caller wants"});
    CHECK(fields.to_error().message == "root.a must be a string, not an integer");
    CHECK(fields.to_error().code == errc::invalid_request);
    CHECK(fields.to_error(errc::unavailable).code == errc::unavailable);
}

TEST_CASE("the keys that nobody asked for are told in their order", "[base][json_fields]")
{
    const auto object = object_of(R"({"known": 1, "knwon": 2, "other": 3})");
    std::int64_t number = 0;
    json_fields fields{object, "http"};
    fields.number("known", number, 0, 9);
    CHECK(fields.others() == std::vector<std::string>{"knwon", "other"});
    fields.number("knwon", number, 0, 9);
    CHECK(fields.others() == std::vector<std::string>{"other"});

    const json::object nothing;
    json_fields asked_for_more{nothing, {}};
    asked_for_more.number("known", number, 0, 9);
    CHECK(asked_for_more.others().empty());
}

TEST_CASE("a nested reader's errors are taken over, behind earlier ones", "[base][json_fields]")
{
    const auto object = object_of(R"({"a": 1})");
    std::string text;
    json_fields inner{object, "files[2]"};
    inner.text("a", text);

    json_fields outer{object, {}};
    outer.take_errors(inner);
    CHECK(outer.to_error().message == "files[2].a must be a string, not an integer");

    json_fields earlier{object, {}};
    earlier.fail("a", "is wrong");
    earlier.take_errors(inner);
    CHECK(earlier.messages() == std::vector<std::string>{"a is wrong", "files[2].a must be a string, not an integer"});

    const json_fields content{object, {}};
    json_fields fine{object, {}};
    fine.take_errors(content);
    CHECK_FALSE(fine.failed());
}
