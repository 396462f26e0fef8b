#include "compile/cache_key.hpp"

#include "base/digest.hpp"
#include "compile/argument_policy.hpp"

namespace sandboxd::compile {

std::string job_id(const job_inputs& inputs)
{
    sha256 hash;
    hash.field("sandboxd compile job");
    hash.field(policy_version);
    hash.field(inputs.toolchain);
    hash.field(name(inputs.lang));
    // The counts keep files and arguments apart.
    hash.field(std::to_string(inputs.files.size()));
    for (const auto& file : inputs.files) {
        hash.field(file.path);
        hash.field(file.content);
    }
    hash.field(std::to_string(inputs.argv.size()));
    for (const auto& token : inputs.argv) hash.field(token);

    if (!inputs.owner.empty()) {
        hash.field("of the tenant");
        hash.field(inputs.owner);
    }

    constexpr std::size_t id_digits = 32;
    return to_hex(hash.finish()).substr(0, id_digits);
}

}  // namespace sandboxd::compile
