#include "compile/record.hpp"

#include "base/json_fields.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <array>
#include <limits>

namespace sandboxd::compile {

namespace json = boost::json;

namespace {

constexpr std::int64_t record_version = 1;
constexpr std::array levels{severity::note, severity::remark, severity::warning, severity::error,
                            severity::fatal_error};

std::optional<severity> level_of(std::string_view text)
{
    for (const auto level : levels) {
        if (name(level) == text) return level;
    }
    return std::nullopt;
}

}  // namespace

std::string to_record(const answer& from)
{
    json::array diagnostics;
    for (const auto& one : from.diagnostics.items) {
        diagnostics.push_back({{"file", one.file},
                               {"line", one.line},
                               {"column", one.column},
                               {"severity", name(one.level)},
                               {"message", one.message}});
    }
    return json::serialize(json::object{{"version", record_version},
                                        {"ok", from.ok},
                                        {"log", from.log},
                                        {"diagnostics", std::move(diagnostics)},
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
    fields.text("log", into.log);
    fields.boolean("diagnosticsTruncated", into.diagnostics.truncated);
    const auto* diagnostics = fields.array("diagnostics");
    if (fields.failed() || version != record_version || !diagnostics) return std::nullopt;
    for (const auto& one : *diagnostics) {
        if (!one.is_object()) return std::nullopt;
        json_fields parts{one.get_object(), {}};
        constexpr std::int64_t most = std::numeric_limits<unsigned>::max();
        diagnostic item;
        std::int64_t line = 0;
        std::int64_t column = 0;
        std::string level;
        parts.text("file", item.file);
        parts.number("line", line, 0, most);
        parts.number("column", column, 0, most);
        parts.text("severity", level);
        parts.text("message", item.message);
        const auto known = level_of(level);
        if (parts.failed() || !known) return std::nullopt;
        item.line = static_cast<unsigned>(line);
        item.column = static_cast<unsigned>(column);
        item.level = *known;
        into.diagnostics.items.push_back(std::move(item));
    }
    if (!into.ok) {
        into.code = errc::compile_error;
        into.error = into.log;
    }
    return into;
}

}  // namespace sandboxd::compile
