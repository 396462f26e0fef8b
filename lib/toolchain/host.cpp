#include "toolchain/host.hpp"

#include "async/readable.hpp"
#include "base/log.hpp"
#include "base/memory_file.hpp"
#include "process/child.hpp"
#include "toolchain/embedded.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

namespace sandboxd::toolchain {

namespace asio = boost::asio;

namespace {

// Inside the host, beside those of the protocol.
constexpr int library_fd = 10;
constexpr int script_fd = 11;
constexpr std::size_t most_greeting = 64 * 1024;
// What a host may print, which is about its end.
constexpr std::size_t output_bytes = 16 * 1024;
constexpr std::chrono::milliseconds no_deadline = std::chrono::hours{24 * 3650};

}  // namespace

result<std::pair<unique_fd, unique_fd>> telling_socket()
{
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return system_error(errc::internal, "socketpair");
    std::pair<unique_fd, unique_fd> made{unique_fd{ends[0]}, unique_fd{ends[1]}};
    const int on = 1;
    if (::setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0)
        return system_error(errc::internal, "SO_PASSCRED");
    return made;
}

bool send_message(int to, const void* from, std::size_t bytes, std::span<const int> descriptors)
{
    iovec piece{const_cast<void*>(from), bytes};
    alignas(cmsghdr) char space[CMSG_SPACE(sizeof(int) * protocol::most_descriptors)]{};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = space;
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* const head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(head), descriptors.data(), descriptors.size_bytes());
    return ::sendmsg(to, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == static_cast<ssize_t>(bytes);
}

std::optional<pid_t> take_message(int from, void* into, std::size_t bytes)
{
    iovec piece{into, bytes};
    alignas(cmsghdr) char space[CMSG_SPACE(sizeof(ucred))]{};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = space;
    message.msg_controllen = sizeof space;
    const ssize_t got = ::recvmsg(from, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    const cmsghdr* const head = got == static_cast<ssize_t>(bytes) ? CMSG_FIRSTHDR(&message) : nullptr;
    if (head == nullptr || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_CREDENTIALS) return std::nullopt;
    ucred who{};
    std::memcpy(&who, CMSG_DATA(head), sizeof who);
    return who.pid;
}

asio::awaitable<bool> readable(const asio::any_io_executor& executor, int descriptor,
                               std::chrono::steady_clock::time_point until)
{
    asio::posix::stream_descriptor at{executor, ::fcntl(descriptor, F_DUPFD_CLOEXEC, 3)};
    if (!at.is_open()) co_return false;
    // The timer's handler may be on its way when this is over.
    const auto waiting = std::make_shared<bool>(true);
    asio::steady_timer timer{executor, until};
    const auto give_up = [&at, waiting](boost::system::error_code cancelled) {
        boost::system::error_code ignored;
        if (!cancelled && *waiting) at.cancel(ignored);
    };
    timer.async_wait(give_up);
    const auto failed = co_await async::wait_readable(at);
    *waiting = false;
    co_return !failed;
}

// Belongs to the task, too, which may outlive the object.
struct host::state {
    explicit state(const asio::any_io_executor& by) : executor{by}, over{by} {}

    static asio::awaitable<void> keep(std::shared_ptr<state> its, process::command what)
    {
        struct at_end {
            ~at_end() { of.over.set(); }
            state& of;
        } const told{*its};
        const process::child_limits bounds{.wall = no_deadline, .output_bytes = output_bytes};
        auto ran = co_await process::run(std::move(what), {}, bounds, its->stop);
        its->given.clear();
        if (!ran)
            its->why = ran.error().message;
        else if (!its->stop.requested() || its->stop.cause() != errc::draining)
            its->why = ran->out + ran->err;
    }

    asio::any_io_executor executor;
    async::event over;
    async::stop_source stop;
    std::shared_ptr<pid_t> leader{std::make_shared<pid_t>(0)};
    unique_fd control;
    std::vector<unique_fd> given;  // until it has them
    std::string why;
};

host::host(std::shared_ptr<state> made) : state_{std::move(made)} {}

host::~host()
{
    state_->control.reset();
    if (!state_->over.is_set()) state_->stop.request(errc::draining);
}

std::unique_ptr<host> host::start(const asio::any_io_executor& executor, async::task_group& tasks, host_plan plan,
                                  const unique_fd& filter)
{
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return nullptr;
    const auto made = std::make_shared<state>(executor);
    made->control.reset(ends[0]);
    std::vector<unique_fd> open;
    open.emplace_back(ends[1]);
    auto library = memory_file("tool", host_library());
    if (!library) return nullptr;
    // Each host reads it from the beginning.
    const auto path = "/proc/self/fd/" + std::to_string(filter.get());
    unique_fd program{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!program) return nullptr;

    process::command what;
    what.argv = std::move(plan.argv);
    what.env = std::move(plan.env);
    what.pass_fds = {
        {ends[1], protocol::control_fd}, {program.get(), protocol::filter_fd}, {library->get(), library_fd}};
    const auto in_library = "/proc/self/fd/" + std::to_string(library_fd);
    if (plan.python) {
        auto script = memory_file("python", python_host());
        if (!script) return nullptr;
        what.pass_fds.emplace_back(script->get(), script_fd);
        open.push_back(std::move(*script));
        auto at = what.argv.begin() + 1;
        while (at != what.argv.end() && at->starts_with('-')) ++at;
        at = what.argv.insert(at, "/proc/self/fd/" + std::to_string(script_fd));
        what.argv.insert(at + 1, in_library);
    } else {
        what.env.emplace_back("LD_PRELOAD", in_library);
    }
    open.push_back(std::move(*library));
    open.push_back(std::move(program));
    made->given = std::move(open);
    what.leader = made->leader;
    // Without supplementary groups, which no jail has; who is no root keeps them, and so do his jails.
    if (::geteuid() == 0) what.run_as = process::identity{::geteuid(), ::getegid()};
    tasks.spawn("keep a tool started", state::keep(made, std::move(what)));
    return std::unique_ptr<host>{new host{made}};
}

asio::awaitable<result<std::string>> host::greeting(std::chrono::steady_clock::time_point until)
{
    const auto its = state_;
    std::string text(most_greeting, '\0');
    for (;;) {
        const bool told = co_await readable(its->executor, its->control.get(), until);
        if (!told) co_return unavailable("it does not say in time that it stands");
        const ssize_t got = ::recv(its->control.get(), text.data(), text.size(), MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (got <= 0) break;
        text.resize(static_cast<std::size_t>(got));
        its->given.clear();
        co_return text;
    }
    // The reason comes with its end.
    co_await its->over.wait_for(std::chrono::seconds{1});
    co_return unavailable("it ended: " + its->why.substr(0, 500));
}

void host::end() { state_->stop.request(errc::draining); }

bool host::alive() const noexcept { return !state_->over.is_set() && *state_->leader != 0; }

pid_t host::pid() const noexcept { return *state_->leader; }

bool host::ask(const protocol::enter& what, std::span<const int> descriptors)
{
    return send_message(state_->control.get(), &what, sizeof what, descriptors);
}

}  // namespace sandboxd::toolchain
