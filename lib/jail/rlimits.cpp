#include "jail/rlimits.hpp"

namespace sandboxd::jail {

std::vector<process::rlimit_setting> common_rlimits(const job_limits& wanted)
{
    // RLIMIT_DATA does not count stacks; programs expect 8 MiB. The kernel counts the others for each user, and no
    // job needs much of them. With 0, the kernel would still start a helper of the host's for a core (core(5)); with 1
    // it does not, and no file is that small.
    std::vector<process::rlimit_setting> settings{{RLIMIT_CORE, 1},
                                                  {RLIMIT_STACK, 8 << 20},
                                                  {RLIMIT_MEMLOCK, 64 << 10},
                                                  {RLIMIT_MSGQUEUE, 0},
                                                  {RLIMIT_SIGPENDING, 256}};
    const auto add = [&settings](int resource, rlim_t value) {
        if (value != 0) settings.push_back({resource, value});
    };
    add(RLIMIT_DATA, wanted.data_bytes != 0 ? wanted.data_bytes : wanted.memory_bytes);
    add(RLIMIT_FSIZE, wanted.file_bytes);
    add(RLIMIT_NOFILE, wanted.open_files);
    add(RLIMIT_CPU, static_cast<rlim_t>(wanted.cpu.count()));
    return settings;
}

}  // namespace sandboxd::jail
