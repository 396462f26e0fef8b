// Where the attacks take place: a real server with a real jail, canaries planted on the host around it, and
// the judgement after every row: no secret came out, nothing crashed, nothing was left behind.
#pragma once

#include "support/http_client.hpp"
#include "support/server_process.hpp"

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::test {

// Every test of a jail is there for each of them: TEMPLATE_TEST_CASE("…", "[hostile]", in_bubblewrap, in_namespaces,
// in_nsjail).
struct in_bubblewrap {
    static constexpr std::string_view name = "bubblewrap";
};
struct in_namespaces {
    static constexpr std::string_view name = "namespaces";
};
struct in_nsjail {
    static constexpr std::string_view name = "nsjail";
};

// What the whole run amounts to; printed as one line at its end.
struct score {
    std::size_t attacks{0};
    std::size_t leaks{0};      // a secret of the host in an answer or an artifact, a host file changed
    std::size_t crashes{0};    // the server ended, or an exception reached its last net
    std::size_t leftovers{0};  // processes, files, descriptors or memory that stayed
};
score& tally();
inline void attack(std::size_t how_many = 1) { tally().attacks += how_many; }

// Files with a secret, planted on the host where a job must not get: their paths may be known to the
// attacker, their content is only on the host.
class canaries {
public:
    canaries();
    ~canaries();
    canaries(const canaries&) = delete;
    canaries& operator=(const canaries&) = delete;

    const std::string& secret() const noexcept { return secret_; }
    // Occurs in no secret; attackers write files of this name wherever they can.
    const std::string& marker() const noexcept { return marker_; }
    const std::vector<std::filesystem::path>& files() const noexcept { return files_; }
    // What of the host's text is in `bytes`: a line of /etc/passwd or /etc/shadow, or the secret. Empty: nothing.
    std::string found_in(std::string_view bytes) const;
    // What an attacker changed on the host. Empty: nothing.
    std::string changed() const;

private:
    std::string secret_;
    std::string marker_;
    std::vector<std::filesystem::path> directories_;
    std::vector<std::filesystem::path> files_;
    std::vector<std::string> host_lines_;
    std::string toolchain_before_;
};

struct arena_options {
    std::string_view jail{in_bubblewrap::name};
    std::string config;                  // further members of the configuration
    bool stand_in{false};                // a compromised compiler instead of emcc; see stand_in.cpp
    std::optional<rlim_t> open_files{};  // RLIMIT_NOFILE of the server
};

// What a compile came to.
struct verdict {
    unsigned status{0};
    std::string code;  // "ok", or the answer's `code`
    boost::json::object body;
    std::string log;  // `log` and `error` together

    std::string member(std::string_view name) const;
};

class arena {
public:
    // SKIPs, with the reason, where the jail is not installed.
    explicit arena(arena_options options = {});

    server_process& server() noexcept { return *server_; }
    const canaries& host() const noexcept { return canaries_; }
    http_client connect() const { return http_client{*server_}; }

    // Sends a compile and looks at all that comes back, artifacts included: valid JSON, no secret.
    verdict compile(const boost::json::object& request);
    verdict compile(std::string_view code, std::string_view type = "c");
    // The same for an answer that the test received itself.
    verdict read_compile(const http_answer& answer);
    // Fails the test when something of the host is in `bytes`.
    void look_for_secrets(std::string_view bytes, std::string_view where);

    // The check at the end of every row. Processes and job files must be gone when a job's answer is there;
    // where the client did not wait for one, say until when.
    void nothing_left(std::chrono::seconds patience = std::chrono::seconds{0});

    // For what the server may keep for good; the test says why.
    void take_memory_as_base() { base_resident_kib_ = resident_kib(); }

    // Of all jobs, if the server is root.
    gid_t job_group() const noexcept { return job_uid_; }
    // Descendants of the server and whatever else runs as the job's uid.
    std::vector<pid_t> job_processes() const;
    std::vector<std::string> job_files() const;
    std::size_t descriptors() const;
    std::size_t resident_kib() const;
    // The value of one line of /metrics (name with its labels); 0 when it is not there.
    double metric(std::string_view series) const;

private:
    void honest_compile();
    // Whether the server has files of an artifact open, as it does behind the answer.
    bool compressing() const;
    void check_alive();

    canaries canaries_;
    uid_t job_uid_;
    std::unique_ptr<server_process> server_;
    std::size_t base_descriptors_{0};
    std::size_t base_resident_kib_{0};
    bool is_warm_{false};  // its compilers are started, in jails that stand ahead of jobs
};

}  // namespace sandboxd::test
