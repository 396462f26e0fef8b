#include "mcp/revision.hpp"

#include "base/base64.hpp"
#include "base/text.hpp"

#include <boost/json/serialize.hpp>

#include <algorithm>
#include <span>
#include <utility>

namespace sandboxd::mcp {

namespace json = boost::json;

namespace {

constexpr std::string_view version_key = "io.modelcontextprotocol/protocolVersion";
constexpr std::string_view capabilities_key = "io.modelcontextprotocol/clientCapabilities";
constexpr std::string_view server_key = "io.modelcontextprotocol/serverInfo";
constexpr std::string_view subscription_key = "io.modelcontextprotocol/subscriptionId";

constexpr std::size_t longest_session = 128;

// The methods, and which revisions have them.
struct known_method {
    std::string_view name;
    bool with_handshake;
    bool stateless;
    std::string_view named_by{};  // the parameter that Mcp-Name repeats
};
constexpr std::array known_methods{
    known_method{"initialize", true, false},
    known_method{"ping", true, false},
    known_method{"server/discover", false, true},
    known_method{"subscriptions/listen", false, true},
    known_method{"tools/list", true, true},
    known_method{"tools/call", true, true, "name"},
    known_method{"resources/list", true, true},
    known_method{"resources/templates/list", true, true},
    known_method{"resources/read", true, true, "uri"},
};

const known_method* find_method(std::string_view name)
{
    const auto found = std::ranges::find(known_methods, name, &known_method::name);
    return found == known_methods.end() ? nullptr : &*found;
}

bool has_handshake(std::string_view version)
{
    return std::ranges::find(handshake_revisions, version) != handshake_revisions.end();
}

rpc_error wrong(const rpc_message& message, int code, std::string text, unsigned status = 400)
{
    return {.code = code, .message = std::move(text), .status = status, .id = message.id};
}

rpc_error mismatch(const rpc_message& message, std::string text)
{
    return wrong(message, code::header_mismatch, "header mismatch: " + std::move(text));
}

rpc_error unsupported(const rpc_message& message, std::string_view requested, bool stateless)
{
    auto made = wrong(message, code::unsupported_version, "unsupported protocol version");
    json::array supported{stateless_revision};
    if (!stateless) supported.insert(supported.end(), handshake_revisions.begin(), handshake_revisions.end());
    made.data = json::serialize(json::object{{"supported", std::move(supported)}, {"requested", requested}});
    return made;
}

bool is_field_text(std::string_view value)
{
    return std::ranges::all_of(value, [](char c) { return c == '\t' || (c >= ' ' && c <= '~'); });
}

// The value of an Mcp-Name field: itself, or base64 in `=?base64?…?=`. Nullopt: not well-formed.
std::optional<std::string> decode_field(std::string_view value)
{
    constexpr std::string_view before = "=?base64?";
    constexpr std::string_view after = "?=";
    if (!is_field_text(value)) return std::nullopt;
    if (value.size() < before.size() + after.size() || !value.starts_with(before) || !value.ends_with(after))
        return std::string{value};
    return decode_base64(value.substr(before.size(), value.size() - before.size() - after.size()));
}

struct meta_values {
    std::string_view version;
    std::string_view capabilities;
    std::string_view progress_token;
};

// What a `_meta` holds; nullopt: it is malformed. Empty: there is none.
std::optional<meta_values> read_meta(std::string_view meta)
{
    static constexpr std::array<std::string_view, 3> inner{version_key, capabilities_key, "progressToken"};
    if (meta.empty()) return meta_values{};
    if (!is_object(meta)) return std::nullopt;
    const auto all = members_of(meta, inner);
    if (!all) return std::nullopt;
    return meta_values{(*all)[0], (*all)[1], (*all)[2]};
}

// The parameters that the protocol itself reads; parameters may be megabytes, so they are looked through once.
struct read_params {
    std::optional<meta_values> meta{};   // nullopt: malformed
    std::optional<std::string> named{};  // what Mcp-Name repeats
    std::string_view arguments{};        // as written; empty: none
};

// Nullopt: one of them comes twice.
std::optional<read_params> read_params_of(const rpc_message& message, const known_method* method)
{
    const bool has_name = method && !method->named_by.empty();
    const std::array<std::string_view, 3> names{"_meta", has_name ? method->named_by : "_meta", "arguments"};
    const auto all = members_of(message.params, std::span{names}.first(has_name ? 3 : 1));
    if (!all) return std::nullopt;
    read_params made{.meta = read_meta(all->front())};
    if (has_name) {
        made.named = text_of((*all)[1]);
        made.arguments = (*all)[2];
    }
    return made;
}

// The fields that 2026-07-28 demands. The parameter that Mcp-Name repeats is `named`, if it is there.
std::optional<rpc_error> check_stateless(const rpc_message& message, const request_fields& fields,
                                         const meta_values& meta, const std::optional<std::string>& named)
{
    const auto claimed = text_of(meta.version);
    if (!claimed) return wrong(message, code::invalid_params, std::string{version_key} + " must be a string");
    if (message.what == rpc_message::kind::request && !is_object(meta.capabilities))
        return wrong(message, code::invalid_params, "_meta must have " + std::string{capabilities_key} + ", an object");
    if (!fields.version && message.what == rpc_message::kind::request)
        return mismatch(message, "MCP-Protocol-Version is missing");
    if (fields.version && *fields.version != *claimed)
        return mismatch(message, "MCP-Protocol-Version is not the version in _meta");
    if (*claimed != stateless_revision) return unsupported(message, *claimed, true);
    if (fields.method && *fields.method != message.method)
        return mismatch(message, "Mcp-Method is not the message's method");
    if (message.what == rpc_message::kind::notification) return std::nullopt;
    if (!fields.method) return mismatch(message, "Mcp-Method is missing");
    if (!named) return std::nullopt;
    if (!fields.name) return mismatch(message, "Mcp-Name is missing");
    const auto told = decode_field(*fields.name);
    if (!told) return mismatch(message, "Mcp-Name is not well-formed");
    if (*told != *named) return mismatch(message, "Mcp-Name is not the name in the message");
    return std::nullopt;
}

std::variant<request, rpc_error> check_notification(const rpc_message& message, const request_fields& fields,
                                                    request made, const std::optional<meta_values>& meta)
{
    made.is_notification = true;
    if (!meta) return wrong(message, code::invalid_params, "_meta must be an object, and none of its members twice");
    made.stateless = !meta->version.empty() || fields.version == stateless_revision;
    if (!meta->version.empty())
        if (auto refused = check_stateless(message, fields, *meta, std::nullopt)) return std::move(*refused);
    if (made.method == "notifications/cancelled") {
        static constexpr std::array<std::string_view, 1> names{"requestId"};
        const auto all = members_of(message.params, names);
        // What is malformed is ignored, as the specification has it.
        if (all) made.cancelled = id_of(all->front()).value_or("");
    }
    return made;
}

json::object server_info(const identity& who)
{
    return {{"name", "sandboxd"}, {"title", "sandboxd"}, {"version", who.version}};
}

json::object capabilities() { return {{"tools", json::object{}}, {"resources", json::object{}}}; }

}  // namespace

std::variant<request, rpc_error> check_request(const rpc_message& message, const request_fields& fields)
{
    request made;
    made.id = message.id;
    made.method = message.method;
    if (fields.session) {
        if (fields.session->empty() || fields.session->size() > longest_session ||
            !std::ranges::all_of(*fields.session, [](char c) { return c > ' ' && c <= '~'; }))
            return wrong(message, code::invalid_request,
                         "Mcp-Session-Id must have 1 to " + std::to_string(longest_session) + " visible characters");
        made.session = *fields.session;
    }
    if (message.what == rpc_message::kind::response)
        return wrong(message, code::invalid_request, "this server asks nothing, so there is nothing to answer");
    const auto* const method = find_method(message.method);
    auto params = read_params_of(message, method);
    if (!params) return wrong(message, code::invalid_params, "a member of params comes twice");
    const auto& meta = params->meta;
    if (message.what == rpc_message::kind::notification)
        return check_notification(message, fields, std::move(made), meta);
    if (!meta) return wrong(message, code::invalid_params, "_meta must be an object, and none of its members twice");
    auto& named = params->named;
    if (!params->arguments.empty() && params->arguments != "null") made.arguments = params->arguments;

    const bool claims = !meta->version.empty();
    if (message.method == "initialize" && !claims) {
        if (fields.version == stateless_revision)
            return mismatch(message, "MCP-Protocol-Version names a revision without initialize");
        made.stateless = false;
    } else if (claims) {
        if (auto refused = check_stateless(message, fields, *meta, named)) return std::move(*refused);
    } else if (fields.version == stateless_revision) {
        return wrong(message, code::invalid_params,
                     "_meta must have " + std::string{version_key} + " and " + std::string{capabilities_key});
    } else if (!fields.version) {
        return mismatch(message, "MCP-Protocol-Version is missing; it names the revision that the message is of");
    } else {
        if (!has_handshake(*fields.version))
            return unsupported(message, is_field_text(*fields.version) ? *fields.version : "", false);
        made.stateless = false;
    }

    if (!method || !(made.stateless ? method->stateless : method->with_handshake))
        return wrong(message, code::method_not_found, "there is no method " + in_quotes(message.method),
                     made.stateless ? 404 : 200);
    if (!meta->progress_token.empty()) {
        auto token = id_of(meta->progress_token);
        if (!token)
            return wrong(message, code::invalid_params,
                         "progressToken must be an integer, or a string of at most 256 bytes", 200);
        made.progress_token = std::move(*token);
    }
    if (!method->named_by.empty()) {
        if (!named)
            return wrong(message, code::invalid_params, "params." + std::string{method->named_by} + " must be a string",
                         200);
        if (!is_object(made.arguments))
            return wrong(message, code::invalid_params, "params.arguments must be an object", 200);
        made.name = std::move(*named);
    }
    if (message.method == "initialize") {
        static constexpr std::array<std::string_view, 1> names{"protocolVersion"};
        const auto all = members_of(message.params, names);
        auto wanted = all ? text_of(all->front()) : std::nullopt;
        if (!wanted) return wrong(message, code::invalid_params, "params.protocolVersion must be a string", 200);
        made.wanted_revision = std::move(*wanted);
    }
    return made;
}

told_fields fields_of(const rpc_message& message, std::string_view negotiated)
{
    told_fields made;
    made.method = message.method;
    const auto* const method = find_method(message.method);
    const auto params = read_params_of(message, method);
    const auto claimed = params && params->meta ? text_of(params->meta->version) : std::nullopt;
    made.stateless = claimed.has_value();
    if (claimed && is_field_text(*claimed))
        made.version = *claimed;
    else if (message.method != "initialize")
        made.version = negotiated;
    if (!params || !params->named) return made;
    const auto& named = *params->named;
    const bool is_plain = is_field_text(named) && !named.empty() && named.front() != ' ' && named.back() != ' ' &&
                          !named.starts_with("=?base64?") && named.find('\t') == std::string::npos;
    made.name = is_plain ? named : "=?base64?" + encode_base64(named) + "?=";
    return made;
}

json::object initialize_result(const request& asked, const identity& who)
{
    const auto revision =
        has_handshake(asked.wanted_revision) ? std::string_view{asked.wanted_revision} : handshake_revisions.front();
    return {{"protocolVersion", revision},
            {"capabilities", capabilities()},
            {"serverInfo", server_info(who)},
            {"instructions", who.instructions}};
}

json::object discover_result(const identity& who)
{
    return {{"supportedVersions", json::array{stateless_revision}},
            {"capabilities", capabilities()},
            {"instructions", who.instructions}};
}

std::string complete(const request& asked, const identity& who, std::string_view members, caching how)
{
    // Tools and templates change with the configuration alone, that is, with a restart; an artifact never does.
    constexpr std::string_view of_list = R"(,"ttlMs":300000,"cacheScope":"public")";
    // Whoever knows an artifact's id may read it; a cache that is shared should not tell.
    constexpr std::string_view of_resource = R"(,"ttlMs":3600000,"cacheScope":"private")";
    std::string made = "{";
    if (asked.stateless) {
        const json::object meta{{server_key, server_info(who)}};
        made.append(R"("resultType":"complete","_meta":)").append(json::serialize(meta));
        if (how != caching::none) made += how == caching::list ? of_list : of_resource;
        if (!members.empty()) made += ',';
    }
    made.append(members) += '}';
    return result_message(asked.id, made);
}

std::string complete(const request& asked, const identity& who, const json::object& result, caching how)
{
    const auto text = json::serialize(result);
    return complete(asked, who, std::string_view{text}.substr(1, text.size() - 2), how);
}

std::string progress_message(const request& asked, std::uint64_t progress, std::string_view message)
{
    std::string params = R"({"progressToken":)";
    params.append(asked.progress_token).append(R"(,"progress":)").append(std::to_string(progress));
    if (!message.empty()) params.append(R"(,"message":)").append(json_quoted(message));
    params += '}';
    return notification_message("notifications/progress", params);
}

std::string acknowledged_message(const request& asked)
{
    std::string params = R"({"_meta":{")";
    params.append(subscription_key).append(R"(":)").append(asked.id).append(R"(},"notifications":{}})");
    return notification_message("notifications/subscriptions/acknowledged", params);
}

std::string listened_message(const request& asked, const identity& who)
{
    const auto info = json::serialize(server_info(who));
    std::string result = R"({"resultType":"complete","_meta":{")";
    result.append(subscription_key).append(R"(":)").append(asked.id).append(R"(,")").append(server_key);
    result.append(R"(":)").append(info).append("}}");
    return result_message(asked.id, result);
}

}  // namespace sandboxd::mcp
