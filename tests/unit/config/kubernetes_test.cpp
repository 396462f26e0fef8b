// deploy/kubernetes: its sizes fit each other, and its seccomp profile fits the jails. What the server may write, by
// the configuration in there and the defaults beside it, fits into the volume it is written to, and both volumes into
// the pod's limit.
#include "config/config.hpp"
#include "jail/seccomp.hpp"
#include "remote/entry_document.hpp"
#include "support/proc.hpp"

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <cerrno>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

using namespace sandboxd;
using namespace sandboxd::test;

namespace {

// "8Gi" behind `what`, in MiB.
std::int64_t mib_behind(const std::string& yaml, const std::string& what)
{
    const auto at = yaml.find(what);
    INFO(what);
    REQUIRE(at != std::string::npos);
    std::size_t used = 0;
    const auto text = yaml.substr(at + what.size(), 16);
    const auto value = std::stoll(text, &used);
    const auto unit = text.substr(used, 2);
    REQUIRE((unit == "Gi" || unit == "Mi"));
    return unit == "Gi" ? value * 1024 : value;
}

}  // namespace

TEST_CASE("what the server may write in Kubernetes fits into its volume", "[config]")
{
    const std::string directory = SANDBOXD_SOURCE_DIR "/deploy/kubernetes/";
    const auto yaml = text_of(directory + "base/deployment.yaml");
    const std::string file = GENERATE("base/config.json", "overlays/fleet/config.json");
    CAPTURE(file);
    const auto text = text_of(directory + file);
    const auto parsed = config::parse(text);
    REQUIRE(parsed.has_value());
    const auto& s = *parsed;
    CHECK(yaml.find("\"--config\", \"/etc/sandboxd/config.json\"") != std::string::npos);
    CHECK(yaml.find("mountPath: " + s.working_dir + "}") != std::string::npos);

    constexpr std::int64_t mib = 1024 * 1024;
    REQUIRE(s.max_concurrent_jobs > 0);     // else it would follow the node's processors
    REQUIRE(s.artifacts.max_total_mb > 0);  // else they would fill it
    CHECK(text.find("\"artifacts\": {\"maxTotalMB\": ") != std::string::npos);
    // What a job leaves is copied before older artifacts make room for it.
    const std::int64_t jobs =
        (s.max_concurrent_jobs + s.reserved_jobs) * (s.compile.max_job_disk_mb + s.compile.max_artifacts_mb);
    const std::int64_t artifacts = s.artifacts.max_total_mb;
    // What is unpacked may stand beside the archive it came from.
    const std::int64_t packages = s.faas.max_packages_mb + s.faas.max_concurrent_installs * 2 * s.faas.max_install_mb;
    // An update builds the new tree beside the old one.
    const std::int64_t deployments = 2 * s.faas.max_deployments * s.faas.max_file_bytes / mib;
    const std::int64_t all = jobs + artifacts + packages + deployments + s.sandboxes.max_total_mb;
    const auto volume = mib_behind(yaml, "- name: work\n          emptyDir: {sizeLimit: ");
    const auto temporary = mib_behind(yaml, "- name: tmp\n          emptyDir: {sizeLimit: ");
    const auto pod = mib_behind(yaml, "limits: {cpu: \"4\", memory: 4Gi, ephemeral-storage: ");
    INFO("jobs " << jobs << ", packages " << packages << ", deployments " << deployments << ", in all " << all);
    // Some air, for what is counted in bytes and takes blocks, and for what is over a limit until that is noticed.
    CHECK(all + all / 5 <= volume);
    CHECK(volume + temporary <= pod);
    CHECK(mib_behind(text_of(directory + "overlays/single/volume.yaml"), "requests: {storage: ") == volume);
}

TEST_CASE("the configuration of the pods of deploy/compose.yaml and deploy/fleet can be read", "[config]")
{
    const auto parsed = config::parse(text_of(SANDBOXD_SOURCE_DIR "/deploy/lib/fleet/pod.json"));
    REQUIRE(parsed.has_value());
    CHECK(parsed->store.remote == "http://cache:8090");
    CHECK(parsed->cluster.redis == "redis://valkey:6379");
    // They are those of all pods.
    CHECK(parsed->faas.enabled);
    CHECK(parsed->cluster.listen == ":8081");
}

TEST_CASE("the configuration of a fleet's pods in Kubernetes can be read, and shares", "[config]")
{
    const auto parsed = config::parse(text_of(SANDBOXD_SOURCE_DIR "/deploy/kubernetes/overlays/fleet/config.json"));
    REQUIRE(parsed.has_value());
    CHECK(parsed->store.remote == "https://sandboxd-cache:8090");
    CHECK(parsed->cluster.redis == "rediss://sandboxd@sandboxd-redis");
    CHECK(parsed->cluster.listen == ":8081");
    // Each pod's own: an option.
    CHECK(parsed->cluster.advertise.empty());
    CHECK(parsed->faas.enabled);
}

TEST_CASE("the sweep of the cache in Kubernetes knows a deployment's document", "[config]")
{
    const auto script = text_of(SANDBOXD_SOURCE_DIR "/deploy/kubernetes/components/cache/sweep");
    constexpr std::string_view told = R"("id":"deployment )";
    CHECK(script.find(R"(index($0, "\"id\":\"deployment "))") != std::string::npos);
    // Of which such is the name (lib/cluster/shared_deployments.cpp), and it names its blob by the digest alone.
    CHECK(text_of(SANDBOXD_SOURCE_DIR "/lib/cluster/shared_deployments.cpp").find("return \"deployment \" + ") !=
          std::string::npos);
    const remote::signing_key key{std::string(40, 'k')};
    const auto document = [&key](const std::string& name) {
        return remote::write_document(
            {.id = name, .files = {{"bytes", {3, std::string(64, 'a')}}}, .record = {0, std::string(64, 'b')}}, key);
    };
    const auto of_deployment = document("deployment 123e4567-e89b-42d3-a456-426614174000 1 00ff");
    // All is in one line, which begins so.
    const auto line = of_deployment.find("\n{\"version\":");
    REQUIRE(line != std::string::npos);
    const auto text = of_deployment.substr(line + 1, of_deployment.find('\n', line + 1) - line - 1);
    CHECK(text.find(told) != std::string::npos);
    CHECK(text.find(R"("sha256":")" + std::string(64, 'a') + '"') != std::string::npos);
    CHECK(document("sandbox 123e4567-e89b-42d3-a456-426614174000").find(told) == std::string::npos);
    CHECK(document("0123456789abcdef0123456789abcdef").find(told) == std::string::npos);
}

TEST_CASE("Redis allows what the paper says in each fleet, and nothing else", "[config]")
{
    const auto rights = [](const char* file) {
        const auto text = text_of(std::string{SANDBOXD_SOURCE_DIR "/"} + file);
        const auto at = text.find("-@all ");
        REQUIRE(at != std::string::npos);
        return text.substr(at, text.find('\n', at) - at);
    };
    CHECK(rights("deploy/lib/fleet/valkey.conf") == rights("lib/cluster/README.md"));
    CHECK(rights("deploy/kubernetes/components/redis/rights") == rights("lib/cluster/README.md"));
}

TEST_CASE("what no jail may call, its pod may not call either, but for what makes a jail", "[config][jail]")
{
    const auto profile =
        boost::json::parse(text_of(SANDBOXD_SOURCE_DIR "/deploy/kubernetes/components/seccomp/sandboxd.json"))
            .as_object();
    // "Not implemented" for all that is not listed; nothing is listed for foreign ABIs.
    CHECK(profile.at("defaultAction").as_string() == "SCMP_ACT_ERRNO");
    CHECK(profile.at("defaultErrnoRet").as_int64() == ENOSYS);
    CHECK(profile.at("architectures") == boost::json::value{"SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"});
    std::set<std::string> allowed;
    for (const auto& rule : profile.at("syscalls").as_array()) {
        if (rule.at("action").as_string() != "SCMP_ACT_ALLOW") continue;
        for (const auto& name : rule.at("names").as_array()) {
            CAPTURE(name);
#ifdef __x86_64__  // others lack the older forms of some calls
            // A misspelt name would be ignored.
            CHECK(jail::number_of(std::string{name.as_string()}) >= 0);
#endif
            if (!rule.as_object().contains("args")) CHECK(allowed.insert(std::string{name.as_string()}).second);
        }
    }
    CHECK(allowed.size() > 200);
    std::set<std::string> of_both;
    for (const auto& rule : jail::seccomp_rules({.network = true})) {
        const std::string name{rule.syscall};
        if (rule.when.empty() && allowed.contains(name)) of_both.insert(name);
    }
    // The last two are the server's own: the lock of its working directory, and files for descriptors that jails
    // inherit.
    CHECK(of_both == std::set<std::string>{"mount", "mount_setattr", "umount2", "pivot_root", "unshare", "setns",
                                           "sethostname", "flock", "memfd_create"});
}
