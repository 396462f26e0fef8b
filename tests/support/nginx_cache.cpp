#include "support/nginx_cache.hpp"

#include "support/eventually.hpp"
#include "support/http_client.hpp"
#include "support/unused_port.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace sandboxd::test {

namespace fs = std::filesystem;

namespace {

constexpr const char* nginx_program = "/usr/sbin/nginx";

}  // namespace

std::string nginx_cache::missing()
{
    return ::access(nginx_program, X_OK) == 0 ? "" : "there is no /usr/sbin/nginx (Debian: nginx)";
}

nginx_cache::nginx_cache(const options& how) : tls_{!how.certificate.empty()}
{
    fs::create_directory(files());
    // Another may take the port before nginx does.
    for (int attempt = 0; attempt < 5; ++attempt)
        if (start(how)) return;
    throw std::runtime_error("nginx did not start: " + log());
}

nginx_cache::~nginx_cache() { end(); }

void nginx_cache::end()
{
    if (pid_ <= 0) return;
    ::kill(pid_, SIGTERM);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
}

bool nginx_cache::start(const options& how)
{
    port_ = unused_port();
    std::ofstream file{here_ / "nginx.conf"};
    if (::geteuid() == 0) file << "user root;\n";
    file << "worker_processes 1;\ndaemon off;\npid " << (here_ / "pid").native()
         << ";\nerror_log stderr notice;\nevents { worker_connections 128; }\nhttp {\n    access_log off;\n";
    for (const char* kind : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"})
        file << "    " << kind << "_temp_path " << (here_ / kind).native() << ";\n";
    file << "    server {\n        listen 127.0.0.1:" << port_ << (tls_ ? " ssl" : "") << ";\n        root "
         << files().native() << ";\n        client_max_body_size 256m;\n";
    if (tls_)
        file << "        ssl_certificate " << how.certificate << ";\n        ssl_certificate_key " << how.private_key
             << ";\n";
    if (!how.authorization.empty())
        file << "        if ($http_authorization != \"" << how.authorization << "\") { return 401; }\n";
    file << "        location ~ \"^/(ac|cas)/[0-9a-f]{64}$\" { dav_methods PUT; create_full_put_path on; }\n    }\n}\n";
    file.close();
    pid_ = ::fork();
    if (pid_ < 0) throw std::runtime_error("fork failed");
    if (pid_ == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGTERM);  // a test that is killed for its time takes it with it
        const int out = ::open((here_ / "log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
        ::dup2(::open("/dev/null", O_RDONLY), 0);
        ::dup2(out, 1);
        ::dup2(out, 2);
        ::close_range(3, ~0U, 0);
        ::execl(nginx_program, nginx_program, "-p", here_.path().c_str(), "-c", (here_ / "nginx.conf").c_str(),
                nullptr);
        ::_exit(127);
    }
    bool ended = false;
    const bool up = eventually([&] {
        if (::waitpid(pid_, nullptr, WNOHANG) != 0) return ended = true;
        try {
            const http_client probe{port_};
            return true;
        } catch (const std::runtime_error&) {
            return false;  // it does not listen yet
        }
    });
    if (up && !ended) return true;
    if (ended) pid_ = -1;
    end();
    return false;
}

std::string nginx_cache::url() const
{
    return std::string{tls_ ? "https" : "http"} + "://localhost:" + std::to_string(port_);
}

std::vector<std::string> nginx_cache::names(const std::string& what) const
{
    std::vector<std::string> found;
    if (!fs::exists(files() / what)) return found;
    for (const auto& one : fs::directory_iterator{files() / what}) found.push_back(one.path().filename().native());
    std::ranges::sort(found);
    return found;
}

std::string nginx_cache::log() const
{
    std::ifstream in{here_ / "log"};
    return {std::istreambuf_iterator<char>{in}, {}};
}

}  // namespace sandboxd::test
