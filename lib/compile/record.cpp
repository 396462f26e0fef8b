#include "compile/record.hpp"

#include "base/json_fields.hpp"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <array>
#include <limits>

namespace sandboxd::compile {

namespace json = boost::json;

namespace {

constexpr std::int64_t record_version = 2;
constexpr std::array levels{severity::note, severity::remark, severity::warning, severity::error,
                            severity::fatal_error};

std::optional<severity> level_of(std::string_view text)
{
    for (const auto level : levels) {
        if (name(level) == text) return level;
    }
    return std::nullopt;
}

json::object describe_place(const place& at)
{
    return {{"file", at.file}, {"line", at.line}, {"column", at.column}, {"columnUtf16", at.column_utf16}};
}

// Reads line and columns. The caller reads the file together with the message.
bool read_place(json_fields& fields, place& into)
{
    constexpr std::int64_t most = std::numeric_limits<unsigned>::max();
    std::int64_t line = 0;
    std::int64_t column = 0;
    std::int64_t column_utf16 = 0;
    fields.text("file", into.file);
    fields.number("line", line, 0, most);
    fields.number("column", column, 0, most);
    fields.number("columnUtf16", column_utf16, 0, most);
    into.line = static_cast<unsigned>(line);
    into.column = static_cast<unsigned>(column);
    into.column_utf16 = static_cast<unsigned>(column_utf16);
    return !fields.failed();
}

}  // namespace

json::array to_json(const diagnostic_list& diagnostics)
{
    json::array list;
    for (const auto& one : diagnostics.items) {
        json::array notes;
        for (const auto& note : one.notes) {
            auto described = describe_place(note.at);
            described["message"] = note.message;
            notes.push_back(std::move(described));
        }
        list.push_back({{"file", one.file},
                        {"line", one.line},
                        {"column", one.column},
                        {"columnUtf16", one.column_utf16},
                        {"severity", name(one.level)},
                        {"message", one.message},
                        {"notes", std::move(notes)},
                        {"origin", one.origin ? json::value(describe_place(*one.origin)) : json::value()}});
    }
    return list;
}

std::string to_record(const answer& from)
{
    return json::serialize(json::object{{"version", record_version},
                                        {"ok", from.ok},
                                        {"error", from.error},
                                        {"log", from.log},
                                        {"diagnostics", to_json(from.diagnostics)},
                                        {"diagnosticsTruncated", from.diagnostics.truncated}});
}

std::optional<answer> from_record(std::string_view text)
{
    boost::system::error_code ec;
    const auto value = json::parse({text.data(), text.size()}, ec);
    if (ec || !value.is_object()) return std::nullopt;
    json_fields fields{value.get_object(), {}};
    std::int64_t version = 0;
    fields.number("version", version, record_version, record_version);
    answer into;
    fields.boolean("ok", into.ok);
    fields.text("error", into.error);
    fields.text("log", into.log);
    fields.boolean("diagnosticsTruncated", into.diagnostics.truncated);
    const auto* diagnostics = fields.array("diagnostics");
    if (fields.failed() || version != record_version || !diagnostics) return std::nullopt;
    for (const auto& one : *diagnostics) {
        if (!one.is_object()) return std::nullopt;
        json_fields parts{one.get_object(), {}};
        diagnostic item;
        place at;
        std::string level;
        parts.text("severity", level);
        parts.text("message", item.message);
        const auto known = level_of(level);
        const auto* notes = parts.array("notes");
        if (!read_place(parts, at) || !known || !notes) return std::nullopt;
        for (const auto& note : *notes) {
            if (!note.is_object()) return std::nullopt;
            json_fields of_note{note.get_object(), {}};
            auto& read = item.notes.emplace_back();
            of_note.text("message", read.message);
            if (!read_place(of_note, read.at)) return std::nullopt;
        }
        if (const auto* origin = one.get_object().if_contains("origin"); origin && origin->is_object()) {
            json_fields of_origin{origin->get_object(), {}};
            if (!read_place(of_origin, item.origin.emplace())) return std::nullopt;
        }
        item.file = std::move(at.file);
        item.line = at.line;
        item.column = at.column;
        item.column_utf16 = at.column_utf16;
        item.level = *known;
        into.diagnostics.items.push_back(std::move(item));
    }
    if (!into.ok) {
        into.code = errc::compile_error;
    }
    return into;
}

}  // namespace sandboxd::compile
