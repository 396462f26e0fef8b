#include "jail/system_files.hpp"

#include <algorithm>
#include <string_view>

namespace sandboxd::jail {
namespace {

bool brings(const mount& one, std::string_view path)
{
    const std::string_view target = one.target;
    return path.starts_with(target) && (path.size() == target.size() || path[target.size()] == '/');
}

}  // namespace

std::vector<system_file> system_files(const spec& what, const process::identity& who)
{
    if (!what.has_system_files) return {};
    const auto uid = std::to_string(who.uid);
    const auto gid = std::to_string(who.gid);
    // The same names as on Debian, plus the jail's own host name.
    const std::string hosts =
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\t" + what.hostname + "\n";
    const bool asks_others = what.network == network_access::host;
    std::vector<system_file> made{{"/etc/group", "sandbox:x:" + gid + ":\n"},
                                  {"/etc/hosts", hosts},
                                  {"/etc/nsswitch.conf", std::string{"passwd: files\ngroup: files\nhosts: files"} +
                                                             (asks_others ? " dns" : "") + "\n"},
                                  {"/etc/passwd", "sandbox:x:" + uid + ":" + gid + "::/tmp:/usr/sbin/nologin\n"},
                                  {"/etc/resolv.conf", ""}};
    std::erase_if(made, [&](const system_file& file) {
        return std::ranges::any_of(what.mounts, [&](const mount& one) { return brings(one, file.path); });
    });
    return made;
}

}  // namespace sandboxd::jail
