#include "api/handlers.hpp"
#include "api/reply.hpp"
#include "artifacts/names.hpp"
#include "http/conditional.hpp"

namespace sandboxd::api {

namespace asio = boost::asio;

namespace {

std::optional<std::string_view> given(const http::exchange& x, http::field name)
{
    const auto value = x[name];
    if (value.empty()) return std::nullopt;
    return value;
}

std::string_view coding_name(artifacts::encoding coding)
{
    return coding == artifacts::encoding::brotli ? "br" : "gzip";
}

}  // namespace

asio::awaitable<result<std::shared_ptr<const artifacts::content>>> bring_artifact(services& with, std::string id,
                                                                                  std::string name, bool accept_gzip,
                                                                                  bool accept_brotli, client_key client,
                                                                                  error missing)
{
    using brought = artifacts::elsewhere::found;
    if (!with.others || missing.code != errc::not_found || !artifacts::is_id(id) || !artifacts::is_plain_name(name))
        co_return missing;
    if (with.store.find(id)) co_return missing;  // the entry is here, without such a file
    switch (co_await with.others->fetch(id, client)) {
        case brought::here: co_return with.store.open_content(id, name, accept_gzip, accept_brotli);
        case brought::nowhere: co_return missing;
        case brought::unknown: break;
    }
    co_return error{errc::unavailable, "this server does not have the artifact, and the others do not answer now"};
}

asio::awaitable<http::response> get_artifact(services& with, http::exchange& x)
{
    if (!with.serve_artifacts)
        co_return error_reply({errc::not_found, "this server does not serve artifacts (enableStaticArtifacts)"});
    const auto accepted = http::accept_encoding(x[http::field::accept_encoding]);
    auto found = with.store.open_content(x.param(0), x.param(1), accepted.gzip, accepted.brotli);
    if (!found && with.others)
        found = co_await bring_artifact(with, std::string{x.param(0)}, std::string{x.param(1)}, accepted.gzip,
                                        accepted.brotli, x.client(), found.error());
    if (!found) co_return error_reply(found.error());
    const auto& content = *found;

    const http::conditions asked{.head = x.method() == http::verb::head,
                                 .if_match = given(x, http::field::if_match),
                                 .if_none_match = given(x, http::field::if_none_match),
                                 .if_range = given(x, http::field::if_range),
                                 .range = given(x, http::field::range)};
    const auto plan = http::plan_response(asked, content->bytes, content->etag);

    if (plan.status == 416) {
        auto refused = error_reply(make_error(errc::range_not_satisfiable));
        refused.fields.emplace_back("Content-Range", plan.content_range);
        co_return refused;
    }

    http::response r;
    r.status = plan.status;
    r.fields.reserve(10);
    r.fields.emplace_back("ETag", content->etag);
    r.fields.emplace_back("Cache-Control", with.artifact_cache_control);
    r.fields.emplace_back("Vary", "Accept-Encoding");
    // These scripts are untrusted: opened as a page or a worker they get an opaque origin.
    r.fields.emplace_back("Content-Security-Policy", "sandbox allow-scripts");
    r.fields.emplace_back("Cross-Origin-Resource-Policy", "cross-origin");
    if (!plan.content_range.empty()) r.fields.emplace_back("Content-Range", plan.content_range);
    if (plan.status != 200 && plan.status != 206) co_return r;

    r.content_type = content->media_type;
    r.fields.emplace_back("Accept-Ranges", "bytes");
    if (content->coding != artifacts::encoding::identity)
        r.fields.emplace_back("Content-Encoding", coding_name(content->coding));
    if (content->memory) {
        const std::string_view all{*content->memory};
        r.body = http::memory_slice{.owner = content->memory, .bytes = all.substr(plan.offset, plan.length)};
    } else {
        r.body = http::file_slice{content->file, plan.offset, plan.length};
    }
    co_return r;
}

}  // namespace sandboxd::api
