#include "jail/aliases.hpp"

#include "base/path.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd::jail {
namespace {

bool may_search(const struct stat& directory, const process::identity& who)
{
    if (directory.st_uid == who.uid) return (directory.st_mode & S_IXUSR) != 0;
    if (directory.st_gid == who.gid) return (directory.st_mode & S_IXGRP) != 0;
    return (directory.st_mode & S_IXOTH) != 0;
}

// A directory that every system has and that the jail does not need: the aliases hide its content from the jail's
// builder. Empty if there is none.
std::string place_for_aliases(const std::vector<std::string>& visible)
{
    for (const char* candidate : {"/mnt", "/media", "/srv", "/opt", "/boot", "/sys"}) {
        struct stat status = {};
        if (::lstat(candidate, &status) != 0 || !S_ISDIR(status.st_mode)) continue;
        if (std::ranges::none_of(visible, [&](const std::string& path) { return lies_in(path, candidate); }))
            return candidate;
    }
    return {};
}

}  // namespace

bool reachable(const std::string& path, const process::identity& who)
{
    for (std::size_t slash = 0; slash != std::string::npos; slash = path.find('/', slash + 1)) {
        struct stat status = {};
        const std::string above = slash == 0 ? "/" : path.substr(0, slash);
        if (::stat(above.c_str(), &status) != 0 || !may_search(status, who)) return false;
    }
    return true;
}

bool is_owned_by(const std::string& file, uid_t uid)
{
    struct stat seen{};
    return ::stat(file.c_str(), &seen) != 0 || seen.st_uid == uid;
}

result<std::optional<process::alias_mounts>> prepare_sources(spec& what, const std::optional<process::identity>& who,
                                                             const std::string& executable, const std::string& place,
                                                             bool devices)
{
    std::vector<mount> found;
    for (mount& one : what.mounts) {
        char real[PATH_MAX];
        if (::realpath(one.source.c_str(), real) == nullptr) {
            if (one.optional) continue;
            auto missing = system_error(errc::unavailable, "cannot mount " + one.source);
            return missing;
        }
        one.source = real;
        one.optional = false;
        found.push_back(std::move(one));
    }
    what.mounts = std::move(found);

    std::optional<process::alias_mounts> aliases;
    if (!place.empty()) aliases.emplace().directory = place;
    if (!who) return aliases;
    std::vector<std::string> visible{executable};
    std::vector<mount*> hidden;
    for (mount& one : what.mounts) {
        visible.push_back(one.source);
        if (!reachable(one.source, *who)) hidden.push_back(&one);
    }
    if (hidden.empty() && !devices) return aliases;
    if (!aliases) aliases.emplace().directory = place_for_aliases(visible);
    if (aliases->directory.empty() && hidden.empty()) return std::optional<process::alias_mounts>{};
    if (aliases->directory.empty()) {
        error no_place{errc::unavailable,
                       "cannot mount " + hidden.front()->source +
                           ": the job's uid cannot reach it; move it to a directory that everybody can enter"};
        return no_place;
    }
    aliases->devices = devices;
    for (mount* one : hidden) {
        const std::string alias = aliases->directory + "/" + std::to_string(aliases->sources.size());
        aliases->sources.push_back(std::exchange(one->source, alias));
    }
    return aliases;
}

}  // namespace sandboxd::jail
