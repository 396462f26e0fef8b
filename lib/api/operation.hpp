// One row of the table of routes, described: an operation of OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.1).
//
// A row of api/routes.cpp names the function of api/operations.hpp that tells all of this.
#pragma once

#include "api/schema.hpp"
#include "api/services.hpp"
#include "base/errc.hpp"
#include "tenants/scope.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::api {

// The members of an error's JSON: those of most endpoints; with `id`, `js` and `wasm`; with `status` and `message`;
// JSON-RPC.
enum class error_shape { usual, compile, script, rpc };

class operation {
public:
    explicit operation(const services& with) : with_{with} {}

    const services& with() const noexcept { return with_; }

    // `id` is the operation's name in generated clients. `summary` is a phrase; `text` is Markdown.
    operation& named(std::string_view id, std::string_view tag, std::string_view summary, std::string_view text = {});
    // The segments that the row's pattern captures, in order. Each needs an example.
    operation& segment(std::string_view name, std::string_view means, std::string_view example);
    operation& query(std::string_view name, boost::json::object what);
    operation& header(std::string_view name, boost::json::object what);
    // A body that the handler reads with this declaration.
    operation& json_body(const std::vector<json_member_info>& members, std::string_view example, bool required = true);
    operation& body(std::string_view media_type, boost::json::object what);
    // Answers of this status, of one more type or shape. An empty `media_type`: without a body. `example` is JSON for
    // application/json, otherwise a text. `events` is what each event of a stream holds.
    operation& answers(unsigned status, std::string_view text, std::string_view media_type = {},
                       boost::json::object what = {}, std::string_view example = {}, boost::json::object events = {});
    operation& answer_header(unsigned status, std::string_view name, boost::json::object what);
    // Errors that clients of this endpoint may get, beside the common ones of all; the statuses are theirs.
    operation& fails(std::initializer_list<errc> codes);
    operation& errors_are(error_shape shape);
    // Any status, with any body: it is a program's own answer, also beside the errors that the server itself has.
    operation& answers_anything(std::string_view text);

    // What the table of routes and the description make of it.
    bool is_change{false};                   // a method other than GET: pages are checked, clients are counted
    bool is_post{false};                     // it may have an Idempotency-Key
    std::optional<tenants::access> needs{};  // on a server with keys; nullopt: it needs none
    boost::json::object made(boost::json::object& shared_responses, std::string_view id_suffix) const;
    const std::vector<std::string>& segments() const noexcept { return segments_; }

private:
    struct content {
        std::string media_type;
        std::vector<boost::json::object> shapes;
        boost::json::value example;
        boost::json::object events;
    };
    struct answer {
        std::string text;
        std::vector<content> contents;
        boost::json::object headers;
    };

    content& content_of(unsigned status, std::string_view media_type);

    const services& with_;
    std::string id_;
    std::string tag_;
    std::string summary_;
    std::string text_;
    std::vector<std::string> segments_;
    boost::json::array parameters_;
    boost::json::object contents_;  // of the body
    bool has_body_{false};
    bool body_required_{false};
    std::map<unsigned, answer> answers_;
    std::set<errc> codes_;
    error_shape shape_{error_shape::usual};
    std::string anything_;
};

// An error's JSON with these codes.
boost::json::object error_schema(error_shape shape, const std::vector<errc>& codes);

// An error's other form, application/problem+json.
boost::json::object problem_schema();

// The answer to requests that are refused before their route counts.
boost::json::object refused_response(error_shape shape);

}  // namespace sandboxd::api
