#include "api/handlers.hpp"
#include "api/reply.hpp"
#include "http/conditional.hpp"
#include "playground/assets.hpp"

namespace sandboxd::api {

namespace asio = boost::asio;

namespace {

http::response asset_reply(const services& with, const http::exchange& x, const playground::asset& asset, bool is_page)
{
    const auto accepted = http::accept_encoding(x[http::field::accept_encoding]);
    const auto coding = accepted.brotli ? std::string_view{"br"} : accepted.gzip ? std::string_view{"gzip"} : "";
    const auto bytes = accepted.brotli ? asset.brotli : accepted.gzip ? asset.gzip : asset.identity;
    // Each coding is a representation of its own (RFC 9110 8.8.3.3).
    std::string etag{"\""};
    etag.append(asset.hash);
    if (!coding.empty()) etag.append("-").append(coding);
    etag += '"';

    const auto if_none_match = x[http::field::if_none_match];
    http::conditions asked;
    asked.head = x.method() == http::verb::head;
    if (!if_none_match.empty()) asked.if_none_match = if_none_match;
    const auto plan = http::plan_response(asked, bytes.size(), etag);

    http::response r;
    r.status = plan.status;
    r.fields.reserve(8);
    r.fields.emplace_back("ETag", std::move(etag));
    // The page names its assets by their content: it alone is asked for again.
    r.fields.emplace_back("Cache-Control", is_page ? "no-cache" : "public, max-age=31536000, immutable");
    r.fields.emplace_back("Vary", "Accept-Encoding");
    r.fields.emplace_back("Content-Security-Policy", playground::content_policy(asset, with.base_domain));
    r.fields.emplace_back("X-Content-Type-Options", "nosniff");
    r.fields.emplace_back("Referrer-Policy", "no-referrer");
    if (is_page) r.fields.emplace_back("Cross-Origin-Opener-Policy", "same-origin");
    if (plan.status != 200) return r;
    r.content_type = asset.type;
    if (!coding.empty()) r.fields.emplace_back("Content-Encoding", std::string{coding});
    r.body = http::memory_slice{.owner = nullptr, .bytes = bytes};
    return r;
}

}  // namespace

namespace {

error nothing_at(const http::exchange& x) { return {errc::not_found, "there is nothing at " + std::string{x.path()}}; }

}  // namespace

asio::awaitable<http::response> get_playground(services& with, http::exchange& x)
{
    const auto* const page = playground::find("index.html");
    if (!page) co_return error_reply({errc::not_found, "this server was built without its playground"});
    co_return asset_reply(with, x, *page, true);
}

asio::awaitable<http::response> get_playground_asset(services& with, http::exchange& x)
{
    const auto* const asset = playground::find(x.param(0));
    if (!asset || asset->name == "index.html" || playground::is_of_docs(*asset)) co_return error_reply(nothing_at(x));
    co_return asset_reply(with, x, *asset, false);
}

asio::awaitable<http::response> get_docs(services& with, http::exchange& x)
{
    const auto* const page = playground::find("docs.html");
    if (!page) co_return error_reply({errc::not_found, "this server was built without its page for /openapi.json"});
    co_return asset_reply(with, x, *page, true);
}

asio::awaitable<http::response> get_docs_asset(services& with, http::exchange& x)
{
    const auto* const asset = playground::find(x.param(0));
    if (!asset || asset->name == "docs.html" || !playground::is_of_docs(*asset)) co_return error_reply(nothing_at(x));
    co_return asset_reply(with, x, *asset, false);
}

}  // namespace sandboxd::api
