#include "mcp/rpc.hpp"

#include "base/ascii.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>

#include <algorithm>
#include <array>
#include <utility>

namespace sandboxd::mcp {

namespace json = boost::json;

namespace {

constexpr std::size_t longest_id = 256;
constexpr std::string_view blank = " \t\r\n";

// Where the string that begins at `at` ends, behind its quote. Most of a message is in strings, and looking for one
// character is many times as fast as for one of several: so from quote to quote, and back over the backslashes.
std::size_t skip_string(std::string_view text, std::size_t at)
{
    const auto begin = at + 1;
    for (auto end = text.find('"', begin); end != std::string_view::npos; end = text.find('"', end + 1)) {
        auto before = end;
        while (before > begin && text[before - 1] == '\\') --before;
        if ((end - before) % 2 == 0) return end + 1;
    }
    return text.size();
}

// Where the value that begins at `at` ends.
std::size_t skip_value(std::string_view text, std::size_t at)
{
    if (at >= text.size()) return text.size();
    if (text[at] == '"') return skip_string(text, at);
    if (text[at] != '{' && text[at] != '[') return std::min(text.find_first_of(",}] \t\r\n", at), text.size());
    std::size_t depth = 0;
    while (at < text.size()) {
        const char c = text[at];
        if (c == '"') {
            at = skip_string(text, at);
            continue;
        }
        ++at;
        if (c == '{' || c == '[') ++depth;
        if (c == '}' || c == ']') --depth;
        if (depth == 0) return at;
    }
    return text.size();
}

std::size_t skip_blank(std::string_view text, std::size_t at)
{
    return std::min(text.find_first_not_of(blank, at), text.size());
}

std::string_view trimmed(std::string_view text)
{
    text.remove_prefix(skip_blank(text, 0));
    return text.substr(0, text.find_last_not_of(blank) + 1);
}

// The string that a token of known JSON stands for; nullopt: it is no text (half a surrogate pair).
std::optional<std::string> decoded(std::string_view token)
{
    if (token.find('\\') == std::string_view::npos) return std::string{token.substr(1, token.size() - 2)};
    boost::system::error_code ec;
    const auto value = json::parse(json::string_view{token.data(), token.size()}, ec);
    if (ec || !value.is_string()) return std::nullopt;
    return std::string{value.get_string().data(), value.get_string().size()};
}

rpc_error refuse(int code, std::string message, std::string id = {})
{
    return {.code = code, .message = std::move(message), .status = 400, .id = std::move(id)};
}

}  // namespace

bool member_reader::read(std::size_t bytes)
{
    const auto limit = at_ + std::min(bytes, object_.size() - at_);
    while (at_ < limit) {
        if (in_string_) {
            // As in skip_string().
            const auto quote = std::min(object_.substr(0, limit).find('"', at_), limit);
            at_ = quote;
            if (quote == limit) break;
            auto before = quote;
            while (before > string_ && object_[before - 1] == '\\') --before;
            in_string_ = (quote - before) % 2 != 0;
            ++at_;
            continue;
        }
        const char c = object_[at_];
        if (c == '"') {
            in_string_ = true;
            string_ = at_ + 1;
        } else if (c == '{' || c == '[') {
            if (++depth_ == 1) begin_ = at_ + 1;
        } else if (depth_ == 1 && c == ':') {
            key_ = trimmed(object_.substr(begin_, at_ - begin_));
            begin_ = at_ + 1;
        } else if (depth_ == 1 && (c == ',' || c == '}')) {
            end_member(at_);
            if (c == '}') at_ = object_.size() - 1;
        } else if (c == '}' || c == ']') {
            --depth_;
        }
        ++at_;
    }
    return at_ >= object_.size();
}

void member_reader::end_member(std::size_t at)
{
    if (!key_.empty()) found_.push_back({key_, trimmed(object_.substr(begin_, at - begin_))});
    key_ = {};
    begin_ = at + 1;
}

std::vector<named_value> members_of(std::string_view object)
{
    member_reader all{object};
    all.read(object.size());
    return all.found();
}

std::vector<std::string_view> items_of(std::string_view array)
{
    std::vector<std::string_view> all;
    std::size_t at = skip_blank(array, skip_blank(array, 0) + 1);
    while (at < array.size() && array[at] != ']') {
        const auto end = skip_value(array, at);
        all.push_back(array.substr(at, end - at));
        at = skip_blank(array, skip_blank(array, end) + 1);
    }
    return all;
}

std::optional<std::vector<std::string_view>> members_of(std::string_view object,
                                                        std::span<const std::string_view> names)
{
    std::vector<std::string_view> found(names.size());
    for (const auto& [key, value] : members_of(object)) {
        const auto name = decoded(key);
        if (!name) continue;
        const auto one = std::ranges::find(names, std::string_view{*name});
        if (one == names.end()) continue;
        auto& into = found[static_cast<std::size_t>(one - names.begin())];
        if (!into.empty()) return std::nullopt;
        into = value;
    }
    return found;
}

std::optional<std::string> text_of(std::string_view value)
{
    if (!value.starts_with('"')) return std::nullopt;
    return decoded(value);
}

bool is_object(std::string_view value) noexcept { return value.starts_with('{'); }

std::optional<std::string> id_of(std::string_view value)
{
    if (value.starts_with('"')) {
        // An escape has at most six characters for a byte.
        if (value.size() > 6 * longest_id + 2) return std::nullopt;
        const auto text = decoded(value);
        if (!text || text->size() > longest_id) return std::nullopt;
        return json_quoted(*text);
    }
    constexpr std::size_t longest_integer = 19;
    const auto digits = value.starts_with('-') ? value.substr(1) : value;
    if (digits.empty() || digits.size() > longest_integer) return std::nullopt;
    if (!std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; })) return std::nullopt;
    return std::string{value};
}

std::variant<rpc_message, rpc_error> read_message(std::string_view text, const json_limits& limits)
{
    json_members nothing;
    if (const auto fault = read_json(text, nothing, limits)) {
        switch (fault->what) {
            case json_fault::kind::syntax: return refuse(code::parse_error, "invalid JSON: " + fault->message);
            case json_fault::kind::no_object:
                return refuse(code::invalid_request, text.substr(skip_blank(text, 0)).starts_with('[')
                                                         ? "the protocol has no batches: send each message by itself"
                                                         : "a message is a JSON object");
            case json_fault::kind::too_many:
            case json_fault::kind::member:
            case json_fault::kind::too_long: break;
        }
        return refuse(code::invalid_request, "the message has " + fault->message);
    }
    static constexpr std::array<std::string_view, 6> names{"jsonrpc", "id", "method", "params", "result", "error"};
    const auto found = members_of(text, names);
    if (!found) return refuse(code::invalid_request, "a member of the message comes twice");
    const auto& all = *found;
    rpc_message made;
    if (!all[1].empty()) {
        auto id = id_of(all[1]);
        if (!id)
            return refuse(code::invalid_request,
                          "id must be an integer, or a string of at most " + std::to_string(longest_id) + " bytes");
        made.id = std::move(*id);
    }
    if (text_of(all[0]) != "2.0") return refuse(code::invalid_request, R"(jsonrpc must be "2.0")", made.id);
    if (all[2].empty()) {
        if (all[4].empty() == all[5].empty())
            return refuse(code::invalid_request, "the message has no method", made.id);
        made.what = rpc_message::kind::response;
        return made;
    }
    auto method = text_of(all[2]);
    if (!method) return refuse(code::invalid_request, "method must be a string", made.id);
    made.method = std::move(*method);
    made.what = made.id.empty() ? rpc_message::kind::notification : rpc_message::kind::request;
    if (!all[3].empty()) {
        if (!is_object(all[3])) return refuse(code::invalid_request, "params must be an object", made.id);
        made.params = all[3];
    }
    return made;
}

std::string json_quoted(std::string_view text) { return json::serialize(json::string{text}); }

std::string result_message(std::string_view id, std::string_view result)
{
    std::string made = R"({"jsonrpc":"2.0","id":)";
    made.reserve(made.size() + id.size() + result.size() + 16);
    return made.append(id).append(R"(,"result":)").append(result) += '}';
}

std::string error_message(const rpc_error& why)
{
    std::string made = R"({"jsonrpc":"2.0",)";
    if (!why.id.empty()) made.append(R"("id":)").append(why.id) += ',';
    made.append(R"("error":{"code":)").append(std::to_string(why.code)).append(R"(,"message":)");
    made += json_quoted(why.message);
    if (!why.data.empty()) made.append(R"(,"data":)").append(why.data);
    return made += "}}";
}

std::string notification_message(std::string_view method, std::string_view params)
{
    std::string made = R"({"jsonrpc":"2.0","method":)";
    return made.append(json_quoted(method)).append(R"(,"params":)").append(params) += '}';
}

}  // namespace sandboxd::mcp
