// deploy/kubernetes.yaml: its sizes fit each other. What the server may write, by the configuration in there and the
// defaults beside it, fits into the volume it is written to, and both volumes into the pod's limit.
#include "config/config.hpp"
#include "support/proc.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <cstdint>
#include <sstream>
#include <string>
#include <string_view>

using namespace sandboxd;
using namespace sandboxd::test;

namespace {

// The lines of the block scalar behind `key: |`, as they are.
std::string block_of(const std::string& yaml, const std::string& key)
{
    std::istringstream lines{yaml};
    std::string block;
    std::size_t indent = 0;
    bool inside = false;
    for (std::string line; std::getline(lines, line);) {
        const auto first = line.find_first_not_of(' ');
        if (inside && first != std::string::npos && first <= indent) break;
        if (inside) block += line + "\n";
        if (first != std::string::npos && line.substr(first) == key + ": |") {
            inside = true;
            indent = first;
        }
    }
    return block;
}

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
    const auto yaml = text_of(SANDBOXD_SOURCE_DIR "/deploy/kubernetes.yaml");
    const auto parsed = config::parse(block_of(yaml, "config.json"));
    REQUIRE(parsed.has_value());
    const auto& s = *parsed;
    CHECK(yaml.find("\"--config\", \"/etc/sandboxd/config.json\"") != std::string::npos);
    CHECK(yaml.find("mountPath: " + s.working_dir + "}") != std::string::npos);

    constexpr std::int64_t mib = 1024 * 1024;
    REQUIRE(s.max_concurrent_jobs > 0);     // else it would follow the node's processors
    REQUIRE(s.artifacts.max_total_mb > 0);  // else they would fill it
    CHECK(block_of(yaml, "config.json").find("\"artifacts\": {\"maxTotalMB\": ") != std::string::npos);
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
}
