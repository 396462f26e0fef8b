#include "playground/assets.hpp"

#include <algorithm>

namespace sandboxd::playground {

const asset* find(std::string_view name) noexcept
{
    const auto all = assets();
    const auto found = std::ranges::find(all, name, &asset::name);
    return found == all.end() ? nullptr : &*found;
}

bool is_of_docs(const asset& one) noexcept { return one.name == "docs.html" || one.name.starts_with("docs-"); }

std::string content_policy(const asset& of, std::string_view deployments)
{
    if (of.name.starts_with("frame-") && of.name.ends_with(".html")) {
        // A compiled module is JavaScript with eval (EM_ASM, embind), from a blob. data: and blob: reach nobody; 'self'
        // would reach any program that this server hosts.
        std::string policy{"sandbox allow-scripts allow-pointer-lock; default-src 'none'; script-src '"};
        policy.append(of.script);
        policy.append(
            "' blob: 'unsafe-eval'; worker-src blob:; style-src 'unsafe-inline'; img-src data: blob:; "
            "media-src data: blob:; font-src data:; connect-src data: blob:; form-action 'none'; base-uri 'none'; "
            "frame-ancestors 'self'");
        return policy;
    }
    // The viewer's elements have style attributes. Its templates (lit-html) are the only makers of markup.
    if (is_of_docs(of))
        return "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
               "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; "
               "require-trusted-types-for 'script'; trusted-types lit-html";
    std::string policy{
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
        "trusted-types 'none'; frame-src 'self'"};
    // A host without a port is one with the scheme's own port.
    if (!deployments.empty()) policy.append(" *.").append(deployments).append(":*");
    return policy;
}

}  // namespace sandboxd::playground
