// Fuzzes what is posted to /mcp: the message, its parameters and the fields beside it. What passes is well-formed, what
// is refused has an answer that is JSON, and an output that is cut stays JSON.
#include "api/mcp.hpp"
#include "base/utf8.hpp"
#include "mcp/revision.hpp"
#include "require.hpp"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

using namespace sandboxd;
namespace json = boost::json;

namespace {

json::value parsed(std::string_view text)
{
    boost::system::error_code ec;
    auto value = json::parse(json::string_view{text.data(), text.size()}, ec);
    require(!ec);
    return value;
}

// The next line of the input; nullopt: there is none.
std::optional<std::string_view> take_line(std::string_view& from)
{
    const auto end = from.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    const auto line = from.substr(0, end);
    from.remove_prefix(end + 1);
    return line;
}

void require_refusal(const mcp::rpc_error& why)
{
    require(why.status == 200 || why.status == 400 || why.status == 404);
    require(parsed(mcp::error_message(why)).at("error").at("code") == why.code);
}

void require_cut(std::string_view object)
{
    for (const std::size_t most : {std::size_t{1}, std::size_t{300}, std::size_t{4096}}) {
        bool is_cut = false;
        const auto cut = api::cut_output(object, most, is_cut);
        require(is_cut == (object.size() > most));
        require(parsed(cut).is_object());
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    std::string_view input{reinterpret_cast<const char*>(data), size};
    mcp::request_fields fields;
    for (auto* const into : {&fields.version, &fields.method, &fields.name, &fields.session}) {
        const auto line = take_line(input);
        if (line && *line != "-") *into = line;
    }
    const auto read = mcp::read_message(input, {.max_depth = 16, .max_members = 1000});
    if (const auto* const wrong = std::get_if<mcp::rpc_error>(&read)) {
        require_refusal(*wrong);
        return 0;
    }
    const auto& message = std::get<mcp::rpc_message>(read);
    require(is_valid_utf8(message.method));
    require_cut(input);
    const auto checked = mcp::check_request(message, fields);
    // A client that adds the fields itself says what the message says.
    const auto told = mcp::fields_of(message, "2025-11-25");
    require(told.version.find_first_of("\r\n") == std::string::npos);
    require(told.name.find_first_of("\r\n") == std::string::npos);
    if (const auto* const wrong = std::get_if<mcp::rpc_error>(&checked)) {
        require_refusal(*wrong);
        return 0;
    }
    const auto& asked = std::get<mcp::request>(checked);
    require(asked.session.size() <= 128);
    require(parsed(asked.arguments).is_object());
    if (asked.is_notification) return 0;
    const mcp::identity who{"1", "use the tools"};
    require(parsed(mcp::complete(asked, who, json::object{{"a", 1}}, mcp::caching::list)).at("id") == parsed(asked.id));
    if (!asked.progress_token.empty())
        require(parsed(mcp::progress_message(asked, 1, "queued")).at("params").at("progressToken") ==
                parsed(asked.progress_token));
    return 0;
}
