// The JSON record that the store keeps beside a job's artifacts: the part of an answer that is a pure function of the
// job.
#pragma once

#include "compile/service.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::compile {

std::string to_record(const answer& from);

// Nullopt when the text is not a record of this version; then the job is compiled again.
std::optional<answer> from_record(std::string_view text);

}  // namespace sandboxd::compile
