// What the store keeps beside the artifacts of a job: the part of an answer that is a pure function of the
// job, as JSON.
#pragma once

#include "compile/service.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::compile {

std::string to_record(const answer& from);

// Nothing when the text is not a record of this version; then the job is simply compiled again.
std::optional<answer> from_record(std::string_view text);

}  // namespace sandboxd::compile
