// Makes the sources of mounts reachable for a uid that may not enter their parent directories. bubblewrap and nsjail
// resolve paths as the job's uid, which cannot enter, for example, /root.
#pragma once

#include "base/errc.hpp"
#include "jail/spec.hpp"
#include "process/command.hpp"

#include <optional>
#include <string>

namespace sandboxd::jail {

// Whether `who` may look up `path` (absolute, no symbolic links), by the mode bits of the directories above it. False
// if that is unknown.
bool reachable(const std::string& path, const process::identity& who);

// Whether the file is that uid's; true also when that cannot be told.
bool is_owned_by(const std::string& file, uid_t uid);

// Leaves out optional mounts that do not exist, resolves symbolic links in the sources, and gives another path to
// those that `who` cannot reach. Returns the mounts for these paths; nullopt if none is needed. `executable`: the
// jail's own, which must stay visible. `place`: the directory for the other paths, whose contents are hidden in any
// case; empty: choose one. `devices`: also makes nodes of devices there, for a job with a uid of its own: who shares
// the host's could watch who else writes to them. Error: `unavailable` when a source is missing.
result<std::optional<process::alias_mounts>> prepare_sources(spec& what, const std::optional<process::identity>& who,
                                                             const std::string& executable,
                                                             const std::string& place = {}, bool devices = false);

}  // namespace sandboxd::jail
