#include "jail/none.hpp"

#include "base/path.hpp"
#include "jail/rlimits.hpp"

#include <string_view>

namespace sandboxd::jail {
namespace {

std::string outside(const spec& what, const std::string& path)
{
    const mount* best = nullptr;
    for (const mount& candidate : what.mounts)
        if (lies_in(path, candidate.target) && (best == nullptr || candidate.target.size() > best->target.size()))
            best = &candidate;
    if (best == nullptr) return path;
    const std::string source = best->source == "/" ? std::string{} : best->source;
    const std::string rest = best->target == "/" ? path : path.substr(best->target.size());
    return source.empty() && rest.empty() ? "/" : source + rest;
}

}  // namespace

process::command none_command(const spec& what)
{
    process::command made;
    for (const auto& argument : what.argv) made.argv.push_back(outside(what, argument));
    for (const auto& [key, value] : what.env) made.env.emplace_back(key, outside(what, value));
    made.cwd = outside(what, what.cwd);
    made.rlimits = common_rlimits(what.limits);
    made.merge_stderr = what.merge_stderr;
    return made;
}

}  // namespace sandboxd::jail
