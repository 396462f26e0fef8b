// A real Docker daemon for a test: all that it keeps is in a directory of the test's, it makes no bridge and no
// firewall rules, and it ends with the test. Needs root and Debian's docker.io, whose service need not run.
#pragma once

#include "support/eventually.hpp"
#include "support/proc.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

namespace sandboxd::test {

class docker_daemon {
public:
    // Why there can be none here; empty when there can.
    static std::string missing()
    {
        if (::geteuid() != 0) return "a Docker daemon needs root";
        if (program().empty()) return "dockerd is not installed";
        return {};
    }

    docker_daemon()
    {
        std::string pattern = "/tmp/sandboxd-docker-XXXXXX";
        if (!::mkdtemp(pattern.data())) throw std::runtime_error{"mkdtemp failed"};
        directory_ = pattern;
        cgroup_ = "/sandboxd-test-" + std::to_string(::getpid());
        start();
        if (!eventually([this] { return answers(); })) {
            const auto said = log();
            stop();
            throw std::runtime_error{"dockerd does not start: " + said};
        }
    }

    ~docker_daemon()
    {
        stop();
        // The daemon leaves mounts behind: the network namespace that it gives to containers without a network.
        std::error_code ec;
        for (const auto& name : names_in(directory_ + "/exec/netns"))
            ::umount2((directory_ + "/exec/netns/" + name).c_str(), MNT_DETACH);
        // The test's own, and empty: the daemon leaves the parent of its cgroups behind.
        for (const auto& hierarchy : std::filesystem::directory_iterator{"/sys/fs/cgroup", ec})
            ::rmdir((hierarchy.path().native() + cgroup_).c_str());
        ::rmdir(("/sys/fs/cgroup" + cgroup_).c_str());
        std::filesystem::remove_all(directory_, ec);
    }

    docker_daemon(const docker_daemon&) = delete;
    docker_daemon& operator=(const docker_daemon&) = delete;

    std::string socket() const { return directory_ + "/docker.sock"; }
    std::string log() const { return text_of(directory_ + "/log"); }
    pid_t pid() const { return static_cast<pid_t>(std::strtol(text_of(directory_ + "/pid").c_str(), nullptr, 10)); }

    // Returns when it has ended. Twice is harmless.
    void stop()
    {
        if (life_ < 0) return;
        ::close(life_);
        char nothing = 0;
        while (::read(ended_, &nothing, 1) > 0) {
        }
        ::close(ended_);
        life_ = -1;
    }

private:
    // The daemon is no child of ours: process::run buries every child that it did not start. A keeper between the
    // two ends it when we have closed our end of a pipe, or are gone.
    void start()
    {
        const std::vector<std::string> arguments{program(),
                                                 "--bridge=none",
                                                 "--iptables=false",
                                                 "--ip6tables=false",
                                                 "--ip-forward=false",
                                                 "--storage-driver=vfs",
                                                 "--cgroup-parent=" + cgroup_,
                                                 "--data-root=" + directory_ + "/data",
                                                 "--exec-root=" + directory_ + "/exec",
                                                 "--pidfile=" + directory_ + "/pid",
                                                 "--host=unix://" + socket()};
        std::vector<char*> argv;
        for (const auto& one : arguments) argv.push_back(const_cast<char*>(one.c_str()));
        argv.push_back(nullptr);
        const int out = ::open((directory_ + "/log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        int life[2];
        int end[2];
        if (out < 0 || ::pipe2(life, O_CLOEXEC) != 0 || ::pipe2(end, O_CLOEXEC) != 0)
            throw std::runtime_error{"no pipes for dockerd"};
        int subreaper = 0;
        ::prctl(PR_GET_CHILD_SUBREAPER, &subreaper, 0, 0, 0);
        ::prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
        const pid_t between = ::fork();
        if (between == 0) {
            ::setsid();
            if (::fork() == 0) keep(argv, out, life, end);
            ::_exit(0);
        }
        ::waitpid(between, nullptr, 0);
        ::prctl(PR_SET_CHILD_SUBREAPER, subreaper, 0, 0, 0);
        ::close(out);
        ::close(life[0]);
        ::close(end[1]);
        life_ = life[1];
        ended_ = end[0];
    }

    [[noreturn]] static void keep(const std::vector<char*>& argv, int out, const int* life, const int* end)
    {
        ::close(life[1]);
        ::close(end[0]);
        const pid_t daemon = ::fork();
        if (daemon == 0) {
            ::dup2(out, 1);
            ::dup2(out, 2);
            ::signal(SIGPIPE, SIG_DFL);
            ::execv(argv[0], argv.data());
            ::_exit(127);
        }
        char nothing = 0;
        while (::read(life[0], &nothing, 1) > 0) {
        }
        ::kill(daemon, SIGTERM);
        ::waitpid(daemon, nullptr, 0);
        ::_exit(0);
    }

    static std::string program()
    {
        for (const char* path : {"/usr/sbin/dockerd", "/usr/bin/dockerd", "/usr/local/bin/dockerd"})
            if (::access(path, X_OK) == 0) return path;
        return {};
    }

    bool answers() const
    {
        const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, socket().c_str(), sizeof address.sun_path - 1);
        const bool connected = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
        bool good = false;
        if (connected) {
            static constexpr char ask[] = "GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n";
            char answer[64]{};
            good = ::send(fd, ask, sizeof ask - 1, MSG_NOSIGNAL) > 0 && ::recv(fd, answer, sizeof answer - 1, 0) > 0 &&
                   std::strstr(answer, " 200 ") != nullptr;
        }
        ::close(fd);
        return good;
    }

    std::string directory_;
    std::string cgroup_;
    int life_{-1};   // closed: it ends
    int ended_{-1};  // at its end: it has
};

}  // namespace sandboxd::test
