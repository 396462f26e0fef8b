#include "api/operation.hpp"

#include "api/reply.hpp"
#include "http/message.hpp"

#include <boost/json/parse.hpp>

#include <algorithm>
#include <array>
#include <iterator>

namespace sandboxd::api {

namespace json = boost::json;

namespace {

constexpr std::string_view json_type = "application/json";
constexpr std::string_view problem_type = "application/problem+json";
constexpr std::string_view any_type = "*/*";
constexpr std::string_view of_the_program = "Of the program: whatever it sends.";

std::string_view name_of(error_shape shape)
{
    switch (shape) {
        case error_shape::usual: break;
        case error_shape::compile: return "compile";
        case error_shape::script: return "script";
        case error_shape::rpc: return "rpc";
    }
    return "error";
}

json::object example_of(error_shape shape, errc code)
{
    const auto what = sentence(code);
    if (shape == error_shape::script)
        return {{"status", status_of(code) >= 500 ? "INTERNAL_SERVER_ERROR" : "INVALID_REQUEST"},
                {"message", what},
                {"code", name(code)}};
    if (shape == error_shape::rpc)
        return {{"jsonrpc", "2.0"},
                {"error", json::object{{"code", status_of(code) >= 500 ? -32603 : -32600},
                                       {"message", what},
                                       {"data", json::object{{"code", name(code)}}}}}};
    json::object made{{"ok", false}, {"error", what}, {"code", name(code)}};
    if (shape == error_shape::compile)
        for (const auto* member : {"id", "js", "wasm"}) made[member] = "";
    return made;
}

json::object retry_after()
{
    return {{"Retry-After", json::object{{"description", "Seconds after which to try again."},
                                         {"schema", json::object{{"type", "integer"}, {"minimum", 0}}}}}};
}

bool says_when(unsigned status) { return status == 429 || status == 503; }

// What may refuse any request before, or whatever, its route is.
constexpr std::array refusals{
    errc::invalid_request,        errc::misdirected_request,   errc::not_found,        errc::method_not_allowed,
    errc::request_timeout,        errc::target_too_long,       errc::header_too_large, errc::too_many_requests,
    errc::method_not_implemented, errc::version_not_supported, errc::internal,         errc::forbidden,
    errc::unauthorized,           errc::insufficient_scope};

std::vector<errc> early_codes(unsigned status)
{
    std::vector<errc> found;
    std::ranges::copy_if(refusals, std::back_inserter(found), [&](errc code) { return status_of(code) == status; });
    return found;
}

// Those that may refuse what changes something, besides the number of requests.
std::set<errc> limits_of_keys(tenants::scope of)
{
    using tenants::scope;
    switch (of) {
        case scope::compile: return {errc::tenant_job_limit, errc::tenant_cpu_limit};
        case scope::execute: return {errc::tenant_job_limit, errc::tenant_fuel_limit};
        case scope::sandbox: return {errc::tenant_job_limit, errc::tenant_cpu_limit, errc::tenant_storage_limit};
        case scope::deploy: return {errc::tenant_deployment_limit, errc::tenant_storage_limit};
        case scope::admin:
        case scope::keys: break;
    }
    return {};
}

json::object reference(std::string_view where) { return {{"$ref", std::string{"#/components/"}.append(where)}}; }

}  // namespace

json::object error_schema(error_shape shape, const std::vector<errc>& codes)
{
    std::vector<std::string_view> words;
    for (const auto code : codes) words.push_back(name(code));
    auto code = schema::one_of(words, "The error's stable name, for programs.");
    if (shape == error_shape::script) {
        static constexpr std::string_view statuses[] = {"INVALID_REQUEST", "INTERNAL_SERVER_ERROR"};
        return schema::record({{"status", schema::one_of(statuses)},
                               {"message", schema::text("What is wrong, where, and the cure: for people.")},
                               {"code", std::move(code)}});
    }
    if (shape == error_shape::rpc) {
        auto number = schema::anything("Of JSON-RPC and the protocol.");
        number["type"] = "integer";
        return schema::record(
            {{"jsonrpc", schema::constant("2.0")},
             schema::maybe("id", schema::anything("Of the request.")),
             {"error", schema::record({{"code", std::move(number)},
                                       {"message", schema::text("What is wrong, where, and the cure: for people.")},
                                       schema::maybe("data", schema::anything())})}});
    }
    std::vector<schema::member> members{
        {"ok", schema::constant(false)},
        {"error", schema::text("What is wrong, where, and the cure: for people.")},
        {"code", std::move(code)},
    };
    if (shape == error_shape::compile)
        for (const auto* member : {"id", "js", "wasm"}) members.push_back({member, schema::constant("")});
    return schema::record(members);
}

json::object problem_schema()
{
    auto made = schema::record({{"type", schema::text("A reference to the code in this description.")},
                                {"title", schema::text("What the code means.")},
                                {"status", schema::integer("The status of the answer.")},
                                {"detail", schema::text("What is wrong, where, and the cure: for people.")},
                                {"code", schema::text("The error's stable name, for programs.")}},
                               "An error of RFC 9457. The other members are those of the JSON error: extensions. Its "
                               "`status`, where that is a text, is `status_text` here.");
    made["additionalProperties"] = true;
    return made;
}

json::object refused_response(error_shape shape)
{
    const std::vector codes(refusals.begin(), refusals.end());
    auto what = error_schema(error_shape::usual, codes);
    if (shape != error_shape::usual) what = schema::any_of({error_schema(shape, codes), std::move(what)});
    return {{"description",
             "The request is refused before its route counts: a header that is malformed or too large, a method or a "
             "version that the server does not know, a page of another origin, too many connections."},
            {"content", json::object{{json_type, json::object{{"schema", std::move(what)}}},
                                     {problem_type, json::object{{"schema", reference("schemas/Problem")}}}}}};
}

operation& operation::named(std::string_view id, std::string_view tag, std::string_view summary, std::string_view text)
{
    id_ = id;
    tag_ = tag;
    summary_ = summary;
    text_ = text;
    return *this;
}

operation& operation::segment(std::string_view name, std::string_view means, std::string_view example)
{
    segments_.emplace_back(name);
    parameters_.push_back(json::object{{"name", name},
                                       {"in", "path"},
                                       {"required", true},
                                       {"description", means},
                                       {"schema", schema::text()},
                                       {"example", example}});
    return *this;
}

operation& operation::query(std::string_view name, json::object what)
{
    parameters_.push_back(json::object{{"name", name}, {"in", "query"}, {"schema", std::move(what)}});
    return *this;
}

operation& operation::header(std::string_view name, json::object what)
{
    parameters_.push_back(json::object{{"name", name}, {"in", "header"}, {"schema", std::move(what)}});
    return *this;
}

operation& operation::json_body(const std::vector<json_member_info>& members, std::string_view example, bool required)
{
    has_body_ = true;
    body_required_ = required;
    contents_[json_type] =
        json::object{{"schema", schema::of_request(members, with_.numbers)}, {"example", json::parse(example)}};
    return *this;
}

operation& operation::body(std::string_view media_type, json::object what)
{
    has_body_ = true;
    contents_[media_type] = json::object{{"schema", std::move(what)}};
    return *this;
}

operation::content& operation::content_of(unsigned status, std::string_view media_type)
{
    auto& all = answers_[status].contents;
    const auto found = std::ranges::find(all, media_type, &content::media_type);
    if (found != all.end()) return *found;
    return all.emplace_back(std::string{media_type});
}

operation& operation::answers(unsigned status, std::string_view text, std::string_view media_type, json::object what,
                              std::string_view example, json::object events)
{
    auto& told = answers_[status].text;
    if (told.empty()) told = text;
    if (media_type.empty()) return *this;
    auto& into = content_of(status, media_type);
    into.shapes.push_back(std::move(what));
    if (!example.empty()) into.example = media_type == json_type ? json::parse(example) : json::value(example);
    into.events = std::move(events);
    return *this;
}

operation& operation::answer_header(unsigned status, std::string_view name, json::object what)
{
    answers_[status].headers[name] = json::object{{"schema", std::move(what)}};
    return *this;
}

operation& operation::fails(std::initializer_list<errc> codes)
{
    codes_.insert(codes.begin(), codes.end());
    return *this;
}

operation& operation::errors_are(error_shape shape)
{
    shape_ = shape;
    return *this;
}

operation& operation::answers_anything(std::string_view text)
{
    anything_ = text;
    return *this;
}

json::object operation::made(json::object& shared_responses, std::string_view id_suffix) const
{
    auto codes = codes_;
    codes.insert({errc::invalid_request, errc::misdirected_request, errc::internal});
    // What a program serves is for pages of other origins, too.
    const bool of_program = !anything_.empty();
    if (is_change) codes.insert(errc::too_many_requests);
    if (is_change && !of_program) codes.insert(errc::forbidden);
    if (is_post) codes.insert({errc::conflict, errc::idempotency_key_reused, errc::queue_full});
    if (has_body_)
        codes.insert({errc::unsupported_media_type, errc::payload_too_large, errc::request_timeout, errc::queue_full});
    // The second one while the server does not know the fleet's keys yet.
    if (needs) codes.insert({errc::unauthorized, errc::index_unavailable});
    if (needs && needs->needed()) codes.insert(errc::insufficient_scope);
    if (needs && is_change) {
        codes.insert(errc::tenant_request_limit);
        if (needs->needed()) codes.merge(limits_of_keys(*needs->needed()));
    }
    std::map<unsigned, std::vector<errc>> by_status;
    for (const auto code : codes) by_status[status_of(code)].push_back(code);

    json::object responses;
    const auto put = [&responses](unsigned status, json::object what) {
        responses[std::to_string(status)] = std::move(what);
    };
    const json::object request_id = {{"X-Request-Id", reference("headers/X-Request-Id")}};
    std::set<unsigned> statuses;
    for (const auto& [status, told] : answers_) statuses.insert(status);
    for (const auto& [status, which] : by_status) statuses.insert(status);
    for (const auto status : statuses) {
        const auto own = answers_.find(status);
        const auto wrong = by_status.find(status);
        std::vector<content> contents;
        json::object headers = request_id;
        std::string text;
        std::string key;
        if (own != answers_.end()) {
            text = own->second.text;
            contents = own->second.contents;
            for (const auto& one : own->second.headers) headers[one.key()] = one.value();
        }
        if (wrong != by_status.end()) {
            if (text.empty()) text = std::string{http::reason(status)} + ".";
            if (of_program) text += " The server's own error, or an answer of the program with this status.";
            auto found = std::ranges::find(contents, json_type, &content::media_type);
            if (found == contents.end())
                found = contents.insert(contents.end(), content{std::string{json_type}, {}, {}, {}});
            found->shapes.push_back(error_schema(shape_, wrong->second));
            if (shape_ != error_shape::usual)
                if (const auto before = early_codes(status); !before.empty())
                    found->shapes.push_back(error_schema(error_shape::usual, before));
            if (of_program) found->shapes.push_back(schema::anything(of_the_program));
            if (found->example.is_null()) found->example = example_of(shape_, wrong->second.front());
            key = std::string{of_program ? "program" : name_of(shape_)} + "-" + std::to_string(status);
            for (const auto code : wrong->second) key.append("-").append(name(code));
        }
        if (says_when(status))
            for (auto& one : retry_after()) headers[one.key()] = one.value();
        if (status == 401)
            headers["WWW-Authenticate"] = json::object{
                {"description", "As RFC 6750 has it: `Bearer realm=\"sandboxd\", error=\"invalid_token\"`."},
                {"schema", schema::text()}};
        if (status == 429) {
            headers["RateLimit-Policy"] = json::object{
                {"description",
                 "The quota that is used up, of a client or of a limit of its key, and its window in seconds: "
                 "`\"requests\";q=600;w=60`, `\"cpuSecondsPerDay\";q=3600;w=86400`."},
                {"schema", schema::text()}};
            headers["RateLimit"] = json::object{
                {"description", "What is left of it, and the seconds until there is more: `\"requests\";r=0;t=34`."},
                {"schema", schema::text()}};
        }
        json::object response{{"description", text}, {"headers", std::move(headers)}};
        json::object all;
        for (auto& one : contents) {
            json::object medium;
            if (one.shapes.size() == 1) medium["schema"] = std::move(one.shapes.front());
            if (one.shapes.size() > 1)
                medium["schema"] = json::object{{"anyOf", json::array(one.shapes.begin(), one.shapes.end())}};
            if (!one.example.is_null()) medium["example"] = one.example;
            if (!one.events.empty()) medium["x-event"] = one.events;
            all[one.media_type] = std::move(medium);
        }
        if (wrong != by_status.end()) {
            auto problem = reference("schemas/Problem");
            if (of_program) problem = schema::any_of({std::move(problem), schema::anything(of_the_program)});
            all[problem_type] = json::object{{"schema", std::move(problem)}};
        }
        if (of_program) all[any_type] = json::object{};
        if (!all.empty()) response["content"] = std::move(all);
        if (own == answers_.end()) {
            shared_responses[key] = std::move(response);
            put(status, reference("responses/" + key));
        } else {
            put(status, std::move(response));
        }
    }
    if (of_program)
        responses["default"] =
            json::object{{"description", anything_}, {"content", json::object{{any_type, json::object{}}}}};
    else if (shape_ == error_shape::usual)
        responses["default"] = reference("responses/refused");
    else
        responses["default"] = refused_response(shape_);

    json::object operation{
        {"operationId", id_ + std::string{id_suffix}}, {"tags", json::array{tag_}}, {"summary", summary_}};
    if (!text_.empty()) operation["description"] = text_;
    auto parameters = parameters_;
    if (is_post)
        parameters.push_back(json::object{
            {"name", "Idempotency-Key"},
            {"in", "header"},
            {"schema",
             schema::text("A string of your own, new for each new request (at most 255 characters). The same request "
                          "with the same key has the same answer, without a second run, for `idempotency.ttlSecs`; "
                          "409 while the first is under way.")}});
    if (!parameters.empty()) operation["parameters"] = std::move(parameters);
    if (has_body_) {
        json::object body{{"required", body_required_}, {"content", contents_}};
        if (const auto most = with_.numbers.find("http.maxBodyBytes"); most != with_.numbers.end())
            body["description"] = "At most " + std::to_string(most->second) + " bytes (http.maxBodyBytes).";
        operation["requestBody"] = std::move(body);
    }
    operation["responses"] = std::move(responses);
    if (needs && with_.keys) {
        json::array scopes;
        if (const auto one = needs->needed()) scopes.emplace_back(tenants::name(*one));
        operation["security"] = json::array{json::object{{"key", std::move(scopes)}}};
    }
    return operation;
}

}  // namespace sandboxd::api
