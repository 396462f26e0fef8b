// A jail that is none, for the service of deployments: its programs are said to run, and do as the test says.
#pragma once

#include "async/stop.hpp"
#include "init/control.hpp"
#include "init/hold.hpp"
#include "process/child.hpp"
#include "support/stand_in_jail.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <catch2/catch_test_macros.hpp>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sandboxd::test {

// A program that runs until it is told to end; what it does at its start is the test's.
class pretended_jail final : public stand_in_jail {
public:
    enum class act { serve, throws, refuse, exit, crash };

    boost::asio::awaitable<result<process::outcome>> run(sandboxd::jail::spec what, process::child_limits,
                                                         async::stop_source& stop, process::output_taker*) override
    {
        const auto packages = std::ranges::find(what.mounts, "/install", &sandboxd::jail::mount::target);
        if (packages != what.mounts.end()) co_return install(packages->source);
        ++started;
        const auto now = acts.empty() ? act::serve : acts.front();
        if (!acts.empty()) acts.erase(acts.begin());
        if (now == act::throws) throw std::bad_alloc{};
        if (now == act::refuse) co_return error{errc::unavailable, "no jail today"};
        tell(what.pass_fds.at(0).first, init::control::reply_kind::begun, 0);
        process::outcome end{};
        end.status = process::exited{0};
        if (now == act::crash) end.status = process::exited{3};
        if (now == act::exit || now == act::crash) co_return end;
        // A runtime that waits has booted when it has read the first byte (init/hold.hpp), and begins with the word.
        const auto word = std::ranges::find(what.pass_fds, init::hold::begin_fd_inside, &std::pair<int, int>::second);
        const bool waits = word != what.pass_fds.end();
        if (waits) ++waited;
        char byte = 0;
        if (waits && boots) REQUIRE(::read(word->first, &byte, 1) == 1);
        ++alive;
        most_alive = std::max(most_alive, alive);
        const int fd = ::fcntl(what.pass_fds.at(0).first, F_DUPFD_CLOEXEC, 3);
        boost::asio::posix::stream_descriptor control{co_await boost::asio::this_coro::executor, fd};
        running_.push_back(&control);
        bool over = false;
        {
            const async::stop_callback on_stop{stop, [&](errc) {
                                                   over = true;
                                                   control.cancel();
                                               }};
            while (!over) {
                boost::system::error_code ec;
                co_await control.async_wait(boost::asio::posix::descriptor_base::wait_read,
                                            boost::asio::redirect_error(boost::asio::use_awaitable, ec));
                if (ec) break;
                init::control::request asked{};
                if (::recv(fd, &asked, sizeof asked, MSG_DONTWAIT) != static_cast<ssize_t>(sizeof asked)) break;
                if (asked.kind == init::control::request_kind::terminate && !stubborn) break;
                if (asked.kind != init::control::request_kind::connect) continue;
                // It listens as soon as it has begun.
                if (waits && byte != init::hold::begin_without_file && ::read(word->first, &byte, 1) != 1) break;
                answer(fd, asked.id);
            }
        }
        std::erase(running_, &control);
        --alive;
        end.status = process::signaled{9};
        co_return end;
    }

    // Those that run end as by a signal.
    void crash()
    {
        for (auto* const one : running_) one->cancel();
    }

    std::vector<act> acts;
    bool stubborn{false};
    bool boots{true};  // a runtime that waits
    std::size_t started{0};
    std::size_t waited{0};  // of those
    std::size_t installed{0};
    std::size_t alive{0};
    std::size_t most_alive{0};

private:
    std::vector<boost::asio::posix::stream_descriptor*> running_;

    // As npm would.
    process::outcome install(const std::filesystem::path& directory)
    {
        ++installed;
        std::filesystem::create_directory(directory / "node_modules");
        std::ofstream{directory / "node_modules/.package-lock.json"} << "{}";
        process::outcome end{};
        end.status = process::exited{0};
        return end;
    }

    static void tell(int control, init::control::reply_kind kind, std::uint32_t id)
    {
        const init::control::reply what{kind, id, 0};
        ::send(control, &what, sizeof what, MSG_DONTWAIT | MSG_NOSIGNAL);
    }

    static void answer(int control, std::uint32_t id)
    {
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
        const init::control::reply what{init::control::reply_kind::connected, id, 0};
        iovec piece{const_cast<init::control::reply*>(&what), sizeof what};
        alignas(cmsghdr) char space[CMSG_SPACE(sizeof(int))]{};
        msghdr message{};
        message.msg_iov = &piece;
        message.msg_iovlen = 1;
        message.msg_control = space;
        message.msg_controllen = sizeof space;
        cmsghdr* const head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int));
        std::memcpy(CMSG_DATA(head), &ends[1], sizeof(int));
        ::sendmsg(control, &message, MSG_DONTWAIT);
        ::close(ends[0]);
        ::close(ends[1]);
    }
};

}  // namespace sandboxd::test
