#include "jail/docker.hpp"

#include "init/arguments.hpp"
#include "jail/jail.hpp"
#include "jail/oci.hpp"
#include "jail/seccomp.hpp"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <optional>

namespace json = boost::json;

namespace sandboxd::jail {
namespace {

// The API version that this code uses. The oldest one that supports all of it is 1.40 (Docker 19.03).
constexpr int major_version = 1;
constexpr int minor_least = 40;
constexpr int minor_wanted = 41;

json::object bind_of(std::string_view source, std::string_view target, bool writable)
{
    return {{"Type", "bind"},
            {"Source", source},
            {"Target", target},
            {"ReadOnly", !writable},
            {"BindOptions", json::object{{"Propagation", "rprivate"}}}};
}

std::optional<int> minor_of(std::string_view version)
{
    int major = 0;
    int minor = 0;
    const char* const end = version.data() + version.size();
    const auto first = std::from_chars(version.data(), end, major);
    if (first.ec != std::errc{} || first.ptr == end || *first.ptr != '.' || major != major_version) return std::nullopt;
    if (std::from_chars(first.ptr + 1, end, minor).ec != std::errc{}) return std::nullopt;
    return minor;
}

}  // namespace

json::object docker_container(const spec& what, const docker_setup& setup, const std::string& descriptors)
{
    std::vector<std::string> options{init::argument::stdin_bytes, std::to_string(what.stdin_text.size())};
    // The init learns from the end of its input that the server is gone; a program in its place would not notice.
    if (what.as_pid_1) options.clear();
    if (!descriptors.empty()) {
        options.emplace_back(init::argument::descriptors);
        options.emplace_back(descriptors_inside);
    }
    if (!setup.word.empty()) options.insert(options.end(), {init::argument::word, setup.word});
    const auto& filter = setup.filters.of(policy_of(what));
    if (!filter.empty()) options.insert(options.end(), {init::argument::filter, filter});
    json::array entry;
    for (const auto& one : init_arguments(what, false, std::move(options))) entry.push_back(json::string{one});
    json::array env;
    for (const auto& [key, value] : what.env) env.push_back(json::string{key + "=" + value});

    json::array mounts;
    mounts.push_back(bind_of(setup.init, init_inside, false));
    if (!descriptors.empty()) mounts.push_back(bind_of(descriptors, descriptors_inside, false));
    // Docker makes the parent folders of a mount for root, so each folder gets its own file system; the container's
    // memory limit bounds them together.
    for (const auto& folder : folders_in_tmp(what)) {
        json::object of_folder{{"Mode", 01777}};
        if (what.limits.tmp_bytes != 0) of_folder["SizeBytes"] = what.limits.tmp_bytes;
        mounts.push_back(json::object{{"Type", "tmpfs"}, {"Target", folder}, {"TmpfsOptions", std::move(of_folder)}});
    }
    for (const mount& one : what.mounts) mounts.push_back(bind_of(one.source, one.target, one.writable));

    std::string scratch = "rw,exec,nosuid,nodev,mode=1777";
    if (what.limits.tmp_bytes != 0) scratch += ",size=" + std::to_string(what.limits.tmp_bytes);
    json::object host{
        {"Mounts", std::move(mounts)},
        {"Tmpfs", json::object{{"/tmp", scratch}}},
        {"ReadonlyRootfs", true},
        {"Privileged", false},
        {"CapDrop", json::array{"ALL"}},
        {"SecurityOpt",
         json::array{"no-new-privileges", "seccomp=" + json::serialize(seccomp_object(policy_of(what)))}},
        // "none" has no bridge, but still a loopback: it is the container's own network.
        {"NetworkMode", what.network == network_access::host ? "host" : "none"},
        {"IpcMode", "private"},
        {"UsernsMode", "host"},
        {"LogConfig", json::object{{"Type", "none"}}},
        {"AutoRemove", false},
        {"RestartPolicy", json::object{{"Name", "no"}}},
        {"Init", false},
        // The init can lower what a daemon sets, but not raise it (see common_rlimits).
        {"Ulimits", json::array{json::object{{"Name", "core"}, {"Soft", 1}, {"Hard", 1}}}},
        // When memory runs out, a container is killed before the server. It cannot lower this value.
        {"OomScoreAdj", 1000},
        {"MaskedPaths", json::array{"/dev/mqueue", "/dev/pts", "/dev/zero", "/proc/acpi", "/proc/asound", "/proc/kcore",
                                    "/proc/keys", "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi",
                                    "/proc/timer_list", "/proc/timer_stats", "/sys"}},
        {"ReadonlyPaths", json::array{"/proc"}}};
    const auto& wanted = what.limits;
    if (wanted.tmp_bytes != 0) host["ShmSize"] = wanted.tmp_bytes;
    if (wanted.memory_bytes != 0) host["Memory"] = host["MemorySwap"] = wanted.memory_bytes;
    if (wanted.processes != 0) host["PidsLimit"] = wanted.processes + (what.as_pid_1 ? 0U : 1U);
    if (wanted.cpu_percent != 0) host["NanoCpus"] = std::uint64_t{wanted.cpu_percent} * 10'000'000;

    return {{"Image", setup.image},
            {"Entrypoint", std::move(entry)},
            {"Cmd", json::array{}},
            {"Env", std::move(env)},
            {"WorkingDir", what.cwd},
            {"User", std::to_string(setup.who.uid) + ":" + std::to_string(setup.who.gid)},
            {"Hostname", what.hostname},
            {"Tty", false},
            {"OpenStdin", true},
            {"StdinOnce", true},
            {"AttachStdin", true},
            {"AttachStdout", true},
            {"AttachStderr", true},
            {"Healthcheck", json::object{{"Test", json::array{"NONE"}}}},
            {"Labels", json::object{{docker_label, setup.server}}},
            {"HostConfig", std::move(host)}};
}

std::string empty_image()
{
    // ustar: a header of 512 bytes for each, and two blocks of zeros at the end.
    // https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html#tag_20_92_13_06
    struct directory {
        const char* name;
        const char* mode;
    };
    static constexpr directory directories[] = {
        {"dev/", "0000755"}, {"etc/", "0000755"}, {"proc/", "0000755"}, {"sys/", "0000755"}, {"tmp/", "0001777"}};
    constexpr std::size_t block = 512;
    std::string made;
    for (const auto& one : directories) {
        std::string header(block, '\0');
        const auto put = [&header](std::size_t at, std::string_view text) { header.replace(at, text.size(), text); };
        put(0, one.name);
        put(100, one.mode);
        put(108, "0000000");
        put(116, "0000000");
        put(124, "00000000000");
        put(136, "00000000000");
        put(148, "        ");
        put(156, "5");
        put(257, "ustar");
        put(263, "00");
        unsigned sum = 0;
        for (const char byte : header) sum += static_cast<unsigned char>(byte);
        char digits[8];
        std::snprintf(digits, sizeof digits, "%06o", sum);
        put(148, std::string_view{digits, 6});
        header[154] = '\0';
        made += header;
    }
    return made + std::string(2 * block, '\0');
}

std::string choose_api(std::string_view least, std::string_view latest)
{
    const auto last = minor_of(latest);
    if (!last || *last < minor_least) return {};
    const auto first = minor_of(least).value_or(0);
    return std::to_string(major_version) + "." + std::to_string(std::max(first, std::min(*last, minor_wanted)));
}

std::string percent_encoded(std::string_view text)
{
    static constexpr char digits[] = "0123456789ABCDEF";
    std::string made;
    for (const char one : text) {
        const auto byte = static_cast<unsigned char>(one);
        const bool plain = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
                           (byte >= 'A' && byte <= 'Z') || std::strchr("-._~", one) != nullptr;
        if (plain && byte != 0) {
            made += one;
        } else {
            made += '%';
            made += digits[byte >> 4];
            made += digits[byte & 15];
        }
    }
    return made;
}

}  // namespace sandboxd::jail
