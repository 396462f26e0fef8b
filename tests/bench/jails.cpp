// The part of tests/bench/jails that measures: `bench_jails ROUNDS`.
#include "base/log.hpp"
#include "jail/jail.hpp"
#include "support/docker_daemon.hpp"
#include "support/on_loop.hpp"
#include "support/temporary_directory.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

using namespace sandboxd;
using clock_type = std::chrono::steady_clock;

namespace {

struct entry {
    std::string name;
    std::unique_ptr<jail::jail> wall;
    std::vector<double> milliseconds{};
};

double start_one(jail::jail& wall)
{
    jail::spec what;
    what.argv = {"/usr/bin/true"};
    what.mounts = {{"/usr", "/usr"}};
    for (const char* path : {"/bin", "/lib", "/lib64"}) what.mounts.push_back({path, path, false, true});
    async::stop_source stop;
    const auto begun = clock_type::now();
    const auto ran = test::on_loop(wall.run(std::move(what), {}, stop));
    const std::chrono::duration<double, std::milli> took = clock_type::now() - begun;
    if (!ran || ran->status != process::wait_status{process::exited{0}}) {
        std::fprintf(stderr, "it failed: %s\n", ran ? ran->err.c_str() : ran.error().message.c_str());
        std::exit(1);
    }
    return took.count();
}

}  // namespace

int main(int argc, char** argv)
{
    const int rounds = argc > 1 ? std::atoi(argv[1]) : 50;
    log::init(log::level::error, log::format::text);
    process::prepare_this_process();
    const test::temporary_directory place;
    std::unique_ptr<test::docker_daemon> daemon;
    if (test::docker_daemon::missing().empty()) daemon = std::make_unique<test::docker_daemon>();

    std::vector<entry> entries;
    for (const std::string name :
         {"none", "bubblewrap", "namespaces", "nsjail", "oci crun", "oci runc", "oci runsc", "docker"}) {
        jail::jail_settings wanted;
        wanted.kind = name.substr(0, name.find(' '));
        if (const auto space = name.find(' '); space != std::string::npos)
            wanted.oci_runtime_path = name.substr(space + 1);
        wanted.init_path = SANDBOXD_INIT;
        wanted.containers_directory = place / "containers";
        if (daemon) wanted.docker.socket_path = daemon->socket();
        auto made = test::on_loop(jail::choose(std::move(wanted)));
        if (made)
            entries.push_back({name, std::move(*made)});
        else
            std::printf("%-11s not here: %.100s\n", name.c_str(), made.error().message.c_str());
    }
    for (int round = 0; round < rounds; ++round)
        for (auto& one : entries) one.milliseconds.push_back(start_one(*one.wall));

    std::printf("start and end of /usr/bin/true, %d rounds (milliseconds)\n%-11s%9s%9s%9s\n", rounds, "jail", "p50",
                "p90", "over");
    double bare = 0;
    for (auto& one : entries) {
        std::ranges::sort(one.milliseconds);
        const double median = one.milliseconds[one.milliseconds.size() / 2];
        if (one.name == "none") bare = median;
        std::printf("%-11s%9.1f%9.1f%9.1f\n", one.name.c_str(), median,
                    one.milliseconds[one.milliseconds.size() * 9 / 10], median - bare);
    }
    return 0;
}
