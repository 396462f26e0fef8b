// The JSON record that the store keeps beside a job's artifacts: the part of an answer that is a pure function of the
// job.
#pragma once

#include "compile/service.hpp"

#include <boost/json/array.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::compile {

// As the API tells them. A record keeps them in the same shape: who changes it changes the version of the record, too.
boost::json::array to_json(const diagnostic_list& diagnostics);

std::string to_record(const answer& from);

// Nullopt when the text is not a record of this version; then the job is compiled again.
std::optional<answer> from_record(std::string_view text);

}  // namespace sandboxd::compile
