// What the server, a tool that is started already (app/tool_host.cpp) and the program that calls one inside a jail
// (app/init/call.cpp) say to each other. Everything stays on one machine: the structures go as they lie in memory.
//
//     server ── enter ──▶ host          fork a child, which enters the jail of this process (a pidfd), completely
//     server ◀─ entered ─ its child     it is in, or which step failed; then it waits for the server's word
//     caller ── ready ──▶ server        "this jail stands, and nothing of the job has been read in it"
//     caller ◀─ begin ─── server        the job: its argv, and whether the tools are in there or the plain way is taken
//     caller ── call ───▶ child         argv, environment, descriptors: within the jail alone
//     caller ◀─ ended ─── child         how it ended
//     Python ── ask ────▶ server        what does Node.js answer to this? is this preamble precompiled?
//     Python ◀─ answer ── server        this, or: it is not known
//     Python ── taken ──▶ server        a known answer was of use, or not
//     Python ── times ──▶ server        at its end: how long the steps took
//
// The hosts never get a byte from a jail: `ready` is said once, before a job begins, has no content, and is for the
// server. Calls are between processes of one job. What the server reads from a job is `ask`: three numbers with bounds,
// bytes that it looks up by their digest, `taken`, which is counted, and `times`, which are told as the job's own word.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstdint>

namespace sandboxd::toolchain::protocol {

// A host finds the socket to the server here, and the seccomp program (an array of sock_filter) of all jails.
inline constexpr int control_fd = 8;
inline constexpr int filter_fd = 9;

// The caller finds the socket to the server here.
inline constexpr int ready_fd_inside = 8;
// And the one for questions, where there is one; Python gets it behind the descriptors of a call.
inline constexpr int ask_fd_inside = 9;

inline constexpr std::uint32_t limits = 16;  // RLIM_NLIMITS: RLIMIT_CPU (0) to RLIMIT_RTTIME (15)

// With the descriptors (SCM_RIGHTS): a pidfd of a process in the jail, the socket for `entered`, and, with
// `has_cgroup`, its cgroup.procs, open for writing.
struct enter {
    std::uint32_t tool;  // its number, by which callers find it
    std::uint32_t uid;   // as the jail sees them
    std::uint32_t gid;
    std::uint32_t has_cgroup;
    std::uint64_t bounding;  // capabilities that stay in the bounding set
    struct {
        std::uint64_t soft;
        std::uint64_t hard;
    } limit[limits];
};

inline constexpr std::size_t most_descriptors = 5;

// The order in which a child enters. What is behind `namespaces` happens inside.
enum class step : std::int32_t { in, cgroup, limits, namespaces, fork, descriptors, listen, identity, filter };

struct entered {
    step at;  // `in`, or what failed
    std::int32_t error;
};

// What the server answers, each one byte. To a child: serve; anything else, also the end: exit. To a caller: the tools
// are there; anything else: be the program yourself. With that comes a file in memory, the argument vector of the job,
// each word with its NUL: the jail may stand before there is a job. The end, or no file: exit.
inline constexpr char serve = 's';
inline constexpr char warm = 'w';
inline constexpr char plain = 'p';

// The name of a tool's socket in the abstract namespace (unix(7)) of the jail's own network, behind the leading NUL and
// before its number in one letter: 'a' is emcc's Python.
inline constexpr char socket_name[] = "sandboxd-tool-";

// Writes the name into an address whose bytes are all 0, and returns the address' length.
inline socklen_t put_name(sockaddr_un& into, std::uint32_t tool)
{
    constexpr std::size_t length = sizeof socket_name - 1;
    into.sun_family = AF_UNIX;
    for (std::size_t i = 0; i < length; ++i) into.sun_path[1 + i] = socket_name[i];
    into.sun_path[1 + length] = static_cast<char>('a' + tool);
    return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + length + 1);
}

inline constexpr std::uint32_t most_tools = 16;

// Before the words: `arguments` of them are the argument vector, the others the environment, each with its NUL. With
// the descriptors for 0, 1 and 2, that of the working directory, and perhaps one more, which becomes 3: for Python that
// for questions, for clang a precompiled preamble.
struct call {
    std::uint32_t arguments;
    std::uint32_t variables;
    std::uint32_t bytes;
};
inline constexpr std::uint32_t most_call_bytes = 4u << 20;

struct ended {
    std::int32_t status;  // as wait(2) tells it
};

// What a job may ask the server for: what scripts of emcc's in Node.js print, and clang's precompiled preamble of a
// source. And what it says at its end: how long its steps took.
enum class topic : std::uint32_t { compiler, optimizer, preamble, times };

// The steps of a compile, as Server-Timing names them.
inline constexpr const char* step_names[] = {"clang",        "llvm-nm",      "wasm-ld",  "finalize",        "wasm-opt",
                                             "wasm-metadce", "llvm-objcopy", "compiler", "acorn-optimizer", "other"};
inline constexpr std::uint32_t steps = sizeof step_names / sizeof *step_names;

// Behind it: the arguments, each with its NUL, and the input. Of a script: its arguments after the name of the input,
// and that file. Of a preamble: clang's arguments without the source and the output, and the source's beginning. Of
// times: nothing, and for each step its microseconds (std::uint32_t); there is no answer.
struct ask {
    topic which;
    std::uint32_t arguments_bytes;
    std::uint32_t input_bytes;
};
inline constexpr std::uint32_t most_ask_arguments = 4096;
inline constexpr std::uint32_t most_ask_input = 512 * 1024;  // whose digest takes the loop a millisecond

struct answer {
    std::uint32_t known;
    std::uint32_t bytes;  // of a script's output, which follows; of the preamble, whose file comes with this
};
// Then the job says whether it made use of what is known.
inline constexpr char taken = 't';
inline constexpr char not_taken = 'n';

}  // namespace sandboxd::toolchain::protocol
