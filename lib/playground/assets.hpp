// The playground's page and its assets, as the build has bundled them (web/build.mjs) and put them into the program.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace sandboxd::playground {

// Everything is static.
struct asset {
    std::string_view name{};  // "page-0123456789abcdef.js": a new content has a new name
    std::string_view type{};  // Content-Type
    std::string_view hash{};  // of the content, in hexadecimal
    // Of the one script inside a document, as a Content-Security-Policy names it: "sha256-…"; empty: it has none.
    std::string_view script{};
    std::string_view identity{}, gzip{}, brotli{};
};

// Empty if the program was built without the page.
std::span<const asset> assets() noexcept;

// Null: there is none of this name. The page itself is "index.html", the one of the API's description "docs.html".
const asset* find(std::string_view name) noexcept;

// Whether it belongs to the page of the API's description: "docs.html", "docs-….js".
bool is_of_docs(const asset& one) noexcept;

// Content-Security-Policy of an asset. `deployments` is faas.baseDomain: the page shows programs of such hosts in a
// frame; empty: only those below /faas/.
//
// "frame-….html" is where programs of strangers run: an opaque origin, without network, not even to this server. It
// holds its own script and style. All other assets may load nothing but this server's own files, and run no script but
// those. The pages of the API's description may also have inline styles, which the viewer's elements carry.
std::string content_policy(const asset& of, std::string_view deployments);

}  // namespace sandboxd::playground
