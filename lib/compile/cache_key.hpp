// The id of a job: a hash over everything that determines its result. The same request has the same
// id on every machine with the same toolchain, so it is also the key of the artifact store.
#pragma once

#include "compile/source_file.hpp"

#include <span>
#include <string>
#include <string_view>

namespace sandboxd::compile {

struct job_inputs {
    std::span<const source_file> files;  // in order: it is the link order
    std::span<const std::string> argv;   // effective_arguments::argv
    language lang{language::c};
    std::string_view toolchain;  // the toolchain's identity: version, path, whatever changes output
    // The tenant, who has ids of his own, so that nobody learns what others have compiled; empty: nobody needs a key.
    std::string_view owner{};
};

// The first 32 hexadecimal digits of the SHA-256 over the inputs and the policy version. Each field has its length in
// front, so different jobs never hash the same bytes.
std::string job_id(const job_inputs& inputs);

}  // namespace sandboxd::compile
