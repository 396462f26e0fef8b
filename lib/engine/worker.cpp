#include "engine/worker.hpp"

#include "engine/interpreter.hpp"
#include "script/frame_socket.hpp"

#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

namespace sandboxd::engine {

namespace {

int serve_requests(int socket)
{
    interpreter engine;
    confine_this_process();
    static constexpr char ready[script::frame_header_bytes] = {};
    if (!script::send_frame(socket, {ready, sizeof ready})) return EXIT_FAILURE;

    std::string buffer;
    while (const auto body = script::receive_frame(socket, buffer)) {
        std::string frame;
        {
            const auto request = script::decode_request(*body);
            if (!request) return EXIT_FAILURE;
            frame = encode_frame(engine.run(request->message), request->number);
        }
        if (!script::send_frame(socket, frame)) return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

}  // namespace

void confine_this_process()
{
    const auto must = [](int failed, const char* what) {
        if (failed)
            throw std::runtime_error{std::string{"cannot confine the worker: "} + what + ": " + std::strerror(errno)};
    };
    // Nor is there a core of it then.
    must(::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "not dumpable");

    // gVisor does not say that it knows how to kill a process, so libseccomp takes it for unable; there is one thread.
    std::unique_ptr<void, decltype(&seccomp_release)> filter{seccomp_init(SCMP_ACT_KILL_PROCESS), &seccomp_release};
    if (!filter) filter.reset(seccomp_init(SCMP_ACT_KILL_THREAD));
    if (!filter) throw std::runtime_error{"cannot confine the worker: no seccomp filter"};
    for (const int number :
         {SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(rt_sigreturn),
          SCMP_SYS(rt_sigprocmask), SCMP_SYS(restart_syscall), SCMP_SYS(setitimer), SCMP_SYS(clock_gettime),
          SCMP_SYS(getrandom), SCMP_SYS(madvise), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(brk), SCMP_SYS(futex)})
        must(seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, number, 0), "seccomp rule");
    // Memory, but no code.
    constexpr scmp_arg_cmp not_executable{2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0};
    constexpr scmp_arg_cmp no_file{3, SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS};
    must(seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, not_executable), "seccomp rule");
    must(seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2, not_executable, no_file), "seccomp rule");
    must(seccomp_load(filter.get()), "seccomp_load");
}

bool write_all(int to, std::string_view bytes)
{
    while (!bytes.empty()) {
        const ssize_t count = ::write(to, bytes.data(), bytes.size());
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
}

int serve(int socket)
{
    ::signal(SIGPIPE, SIG_IGN);
    int status = EXIT_FAILURE;
    on_engine_stack([&] { status = serve_requests(socket); });
    return status;
}

}  // namespace sandboxd::engine
