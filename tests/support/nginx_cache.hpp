// Real nginx as an HTTP cache, by WebDAV (ngx_http_dav_module), in a directory of its own.
#pragma once

#include "support/temporary_directory.hpp"

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace sandboxd::test {

class nginx_cache {
public:
    // Why it cannot be had here; empty where it can.
    static std::string missing();

    struct options {
        std::string certificate{};  // files of TLS; empty: without
        std::string private_key{};
        std::string authorization{};  // the only value of that field that is let in; empty: any
    };

    nginx_cache() : nginx_cache(options{}) {}
    explicit nginx_cache(const options& how);
    ~nginx_cache();
    nginx_cache(const nginx_cache&) = delete;
    nginx_cache& operator=(const nginx_cache&) = delete;

    // Of the host "localhost".
    std::string url() const;
    std::filesystem::path files() const { return here_ / "files"; }
    // The names below files()/<what>: "cas", "ac".
    std::vector<std::string> names(const std::string& what) const;
    std::string log() const;

private:
    bool start(const options& how);
    void end();

    temporary_directory here_;
    pid_t pid_{-1};
    std::uint16_t port_{0};
    bool tls_{false};
};

}  // namespace sandboxd::test
