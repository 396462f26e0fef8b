// sandboxd as deploy/ ships it: started as deploy/sandboxd.service says, with deploy/sandboxd.json, and real nginx in
// front of it with deploy/nginx.conf, as another user. Only paths and the port are others, so that both live in a
// directory of their own.
#pragma once

#include "support/temporary_directory.hpp"

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::test {

class behind_nginx {
public:
    static constexpr std::string_view name = "sandboxd.example.org";
    static constexpr std::string_view base_domain = "apps.sandboxd.example.org";

    // Why it cannot be had here; empty where it can.
    static std::string missing();

    // `members`: further ones of the configuration.
    explicit behind_nginx(const std::string& members);
    ~behind_nginx();
    behind_nginx(const behind_nginx&) = delete;
    behind_nginx& operator=(const behind_nginx&) = delete;

    std::uint16_t port() const noexcept { return port_; }
    // "sandboxd.example.org:<port>", as a client says it.
    std::string host() const { return std::string{name} + ":" + std::to_string(port_); }
    std::filesystem::path cache() const { return here_ / "cache"; }
    std::filesystem::path socket() const { return here_ / "run/sandboxd/http.sock"; }
    uid_t server_uid() const noexcept { return server_uid_; }
    uid_t nginx_uid() const noexcept { return nginx_uid_; }
    // What both have said.
    std::string log() const;

    void stop_server();

private:
    using unit_settings = std::map<std::string, std::string>;

    std::string substituted(std::string text) const;
    void start_server(const unit_settings& unit, const std::string& members);
    void start_nginx();

    temporary_directory here_;
    pid_t server_{-1};
    pid_t nginx_{-1};
    uid_t server_uid_{0};
    uid_t nginx_uid_{0};
    std::uint16_t port_{0};
};

}  // namespace sandboxd::test
