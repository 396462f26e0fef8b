// Makes the sources of mounts reachable for a uid that may not enter the directories above them: a
// working directory below /root is 0700 to all others, and bubblewrap and nsjail resolve paths as
// the job's uid.
#pragma once

#include "base/errc.hpp"
#include "jail/spec.hpp"
#include "process/command.hpp"

#include <optional>
#include <string>

namespace sandboxd::jail {

// Whether `who` may look up `path` (absolute, no symbolic links), judged by the mode bits of the
// directories above it. False also when that cannot be told.
bool reachable(const std::string& path, const process::identity& who);

// Whether the file is that uid's; true also when that cannot be told.
bool is_owned_by(const std::string& file, uid_t uid);

// Leaves out optional mounts that do not exist, resolves symbolic links in the sources, and gives
// those that `who` cannot reach another name; what must be mounted for that is returned, empty if
// nothing. `executable`: the jail's own, which must stay visible. `place`: the directory for the other
// names, covered in any case; empty: one that is not in the way. Error: `unavailable` when a source is
// missing.
result<std::optional<process::alias_mounts>> prepare_sources(spec& what, const std::optional<process::identity>& who,
                                                             const std::string& executable,
                                                             const std::string& place = {});

}  // namespace sandboxd::jail
