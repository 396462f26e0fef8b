// A real Redis or Valkey server in a directory of its own, on a port of 127.0.0.1 and on a Unix socket. Never the
// machine's own.
#pragma once

#include "support/temporary_directory.hpp"

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace sandboxd::test {

class redis_server {
public:
    // Why it cannot be had here; empty where it can.
    static std::string missing();

    struct options {
        std::string certificate{};  // files of TLS; empty: the port is without
        std::string private_key{};
        std::vector<std::string> more{};  // further arguments: {"--requirepass", "secret"}
    };

    redis_server() : redis_server(options{}) {}
    explicit redis_server(options how);
    ~redis_server();
    redis_server(const redis_server&) = delete;
    redis_server& operator=(const redis_server&) = delete;

    // A process that looks names up, as of "localhost", buries its orphans, and takes this child of its for one: a test
    // that has a client in its own process needs the address.
    std::string url(const std::string& user = {}, const std::string& host = "127.0.0.1") const;
    std::string url_by_name(const std::string& user = {}) const { return url(user, "localhost"); }
    std::string socket_url() const { return "unix://" + socket(); }

    // What it says to an inline command, as it is sent: "$2\r\nhi\r\n" to "GET key". By the socket.
    std::string say(const std::string& command) const;

    void signal(int number) const;
    // SIGTERM, and again on the same port. It forgets everything.
    void end();
    void start_again();

    std::string log() const;

private:
    bool start();
    std::string socket() const { return here_ / "redis.sock"; }

    options how_;
    temporary_directory here_;
    pid_t pid_{-1};
    std::uint16_t port_{0};
};

}  // namespace sandboxd::test
