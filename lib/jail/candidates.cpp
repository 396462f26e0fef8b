#include "jail/candidates.hpp"

#include "base/path.hpp"

#include <cstdlib>

namespace sandboxd::jail {

candidate from_plan(launch_plan plan, std::string compromise, const jail_settings& wanted, expectation expected)
{
    if (wanted.cgroups && !plan.own_cgroups) {
        plan.cgroups = wanted.cgroups;
        plan.walls.emplace_back("memory and process limits of the whole job (cgroup)");
    }
    // std::function copies its target, so it cannot hold the plan itself.
    const auto shared = std::make_shared<launch_plan>(std::move(plan));
    candidate made;
    made.compromise = std::move(compromise);
    made.expected = expected;
    made.make = [shared](std::vector<std::string> more) {
        auto& warnings = shared->warnings;
        warnings.insert(warnings.end(), more.begin(), more.end());
        return make_jail(std::move(*shared));
    };
    return made;
}

result<std::string> find_executable(const std::string& wanted, std::string_view default_name)
{
    std::string name = wanted.empty() ? std::string{default_name} : wanted;
    if (name.find('/') != std::string::npos) {
        if (is_executable(name)) return name;
        return error{errc::unavailable, name + " is not an executable file"};
    }
    const char* variable = std::getenv("PATH");
    auto found = find_program(variable == nullptr ? "/usr/bin:/bin" : variable, name);
    if (!found.empty()) return found;
    if (wanted.empty() || wanted == default_name) return error{errc::unavailable, "not installed"};
    return error{errc::unavailable, wanted + " is not an executable file"};
}

std::vector<std::string> common_walls()
{
    return {"user namespace",  "pid namespace",     "mount namespace",   "ipc namespace",
            "uts namespace",   "cgroup namespace",  "network namespace", "unprivileged uid inside",
            "no capabilities", "no new privileges", "seccomp",           "rlimits"};
}

}  // namespace sandboxd::jail
