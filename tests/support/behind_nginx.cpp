#include "support/behind_nginx.hpp"

#include "support/eventually.hpp"
#include "support/http_client.hpp"
#include "support/unused_port.hpp"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <sstream>
#include <stdexcept>

namespace sandboxd::test {

namespace {

namespace fs = std::filesystem;

constexpr const char* nginx_binary = "/usr/sbin/nginx";
constexpr const char* nginx_user = "www-data";
// What DynamicUser= takes users from: nobody has it here.
constexpr uid_t dynamic_user = 64'987;

std::string shipped(std::string_view file)
{
    std::ifstream in{fs::path{SANDBOXD_SOURCE_DIR} / "deploy" / file, std::ios::binary};
    if (!in) throw std::runtime_error("deploy/" + std::string{file} + " is not there");
    return {std::istreambuf_iterator<char>{in}, {}};
}

// The settings of a unit's [Service]; of what stands twice the last.
std::map<std::string, std::string> service_section(const std::string& unit)
{
    std::map<std::string, std::string> settings;
    std::istringstream lines{unit};
    std::string section;
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with('[')) section = line;
        const auto equals = line.find('=');
        if (section != "[Service]" || line.starts_with('#') || equals == std::string::npos) continue;
        settings[line.substr(0, equals)] = line.substr(equals + 1);
    }
    return settings;
}

void replace_all(std::string& text, std::string_view what, std::string_view with)
{
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
        text.replace(at, what.size(), with);
}

mode_t mode_of(const std::map<std::string, std::string>& unit, const std::string& key, const char* otherwise)
{
    const auto given = unit.find(key);
    return static_cast<mode_t>(std::stoul(given == unit.end() ? otherwise : given->second, nullptr, 8));
}

void own_directory(const fs::path& path, uid_t uid, gid_t gid, mode_t mode)
{
    fs::create_directories(path);
    if (::chown(path.c_str(), uid, gid) != 0 || ::chmod(path.c_str(), mode) != 0)
        throw std::runtime_error("cannot give " + path.native() + " away");
}

pid_t spawn(const std::vector<std::string>& words, const fs::path& log, const std::function<bool()>& prepare)
{
    std::vector<char*> argv;
    for (const auto& one : words) argv.push_back(const_cast<char*>(one.c_str()));
    argv.push_back(nullptr);
    std::vector<std::string> variables{"PATH=/usr/local/bin:/usr/bin:/bin"};
    for (const char* name : {"ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"})
        if (const char* value = std::getenv(name)) variables.push_back(std::string{name} + "=" + value);
    std::vector<char*> envp;
    for (auto& one : variables) envp.push_back(one.data());
    envp.push_back(nullptr);
    const pid_t pid = ::fork();
    if (pid < 0) throw std::runtime_error("fork failed");
    if (pid > 0) return pid;
    const int null = ::open("/dev/null", O_RDWR);
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(null, 0);
    ::dup2(out, 1);
    ::dup2(out, 2);
    ::close_range(3, ~0U, 0);
    if (!prepare()) ::_exit(126);
    // A test that is killed for its time takes them with it. After the change of the user, which undoes this.
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    ::execve(argv.front(), argv.data(), envp.data());
    ::_exit(127);
}

void end(pid_t& pid)
{
    if (pid <= 0) return;
    ::kill(pid, SIGTERM);
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    pid = -1;
}

}  // namespace

std::string behind_nginx::missing()
{
    if (::geteuid() != 0) return "only root can start two users' servers";
    if (::access(nginx_binary, X_OK) != 0) return "there is no /usr/sbin/nginx (Debian: nginx)";
    if (!::getpwnam(nginx_user)) return "there is no user www-data";
    return {};
}

behind_nginx::behind_nginx(const std::string& members)
{
    nginx_uid_ = ::getpwnam(nginx_user)->pw_uid;
    start_server(service_section(shipped("sandboxd.service")), members);
    try {
        start_nginx();
    } catch (...) {
        end(server_);
        throw;
    }
}

behind_nginx::~behind_nginx()
{
    end(nginx_);
    end(server_);
}

void behind_nginx::stop_server() { end(server_); }

std::string behind_nginx::log() const
{
    std::string all;
    for (const char* file : {"server.log", "nginx.log"}) {
        std::ifstream in{here_ / file};
        all.append(std::istreambuf_iterator<char>{in}, {});
    }
    return all;
}

std::string behind_nginx::substituted(std::string text) const
{
    for (const char* place : {"/run/sandboxd", "/var/lib/sandboxd", "/etc/sandboxd", "/var/cache/nginx/sandboxd"}) {
        std::string_view to = place;
        auto there = to == "/var/cache/nginx/sandboxd" ? here_ / "cache" : here_ / to.substr(1);
        replace_all(text, place, there.native());
    }
    replace_all(text, "/usr/local/bin/", (here_ / "bin").native() + "/");
    return text;
}

void behind_nginx::start_server(const unit_settings& unit, const std::string& members)
{
    const auto value = [&unit](const std::string& key) {
        const auto given = unit.find(key);
        return given == unit.end() ? std::string{} : given->second;
    };
    // The build directory may be closed to other users.
    fs::create_directory(here_ / "bin");
    for (const auto& one : fs::directory_iterator{fs::path{SANDBOXD_BINARY}.parent_path()}) {
        const auto file = one.path().filename();
        if (file == "sandboxd" || file == "sandboxd-init" || file == "sandboxd-js")
            fs::copy(one.path(), here_ / "bin" / file);
    }
    server_uid_ = value("DynamicUser") == "yes" ? dynamic_user : 0;
    gid_t gid = server_uid_;
    if (!value("User").empty()) server_uid_ = ::getpwnam(value("User").c_str())->pw_uid;
    if (!value("Group").empty()) gid = ::getgrnam(value("Group").c_str())->gr_gid;
    std::vector<gid_t> groups;
    std::istringstream names{value("SupplementaryGroups")};
    for (std::string one; names >> one;) groups.push_back(::getgrnam(one.c_str())->gr_gid);

    own_directory(here_ / "var/lib" / value("StateDirectory"), server_uid_, gid,
                  mode_of(unit, "StateDirectoryMode", "0755"));
    if (!value("RuntimeDirectory").empty())
        own_directory(here_ / "run" / value("RuntimeDirectory"), server_uid_, gid,
                      mode_of(unit, "RuntimeDirectoryMode", "0755"));
    fs::create_directories(here_ / "etc/sandboxd");
    auto settings = boost::json::parse(substituted(shipped("sandboxd.json"))).as_object();
    const auto further = boost::json::parse("{" + members + "}").as_object();
    for (const auto& [key, what] : further) settings[key] = what;
    std::ofstream{here_ / "etc/sandboxd/config.json"} << boost::json::serialize(settings);

    std::vector<std::string> words;
    std::istringstream line{substituted(value("ExecStart"))};
    for (std::string one; line >> one;) words.push_back(one);
    const auto mask = mode_of(unit, "UMask", "0022");
    const bool confined = value("NoNewPrivileges") == "yes";
    auto place = substituted(value("WorkingDirectory"));
    if (place.starts_with('-')) place.erase(0, 1);
    if (place.empty()) place = "/";
    server_ = spawn(words, here_ / "server.log", [&] {
        ::umask(mask);
        return ::chdir(place.c_str()) == 0 && ::setgroups(groups.size(), groups.data()) == 0 &&
               ::setresgid(gid, gid, gid) == 0 && ::setresuid(server_uid_, server_uid_, server_uid_) == 0 &&
               (!confined || ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    });
    const bool up = eventually([this] {
        struct stat there{};
        return ::waitpid(server_, nullptr, WNOHANG) != 0 || ::stat(socket().c_str(), &there) == 0;
    });
    struct stat there{};
    if (!up || ::stat(socket().c_str(), &there) != 0) throw std::runtime_error("sandboxd did not start: " + log());
}

void behind_nginx::start_nginx()
{
    fs::create_directory(here_ / "temporary");
    own_directory(here_ / "cache", nginx_uid_, nginx_uid_, 0700);
    own_directory(here_ / "temporary", nginx_uid_, nginx_uid_, 0700);
    // Another may take the port before nginx does.
    for (int attempt = 0; attempt < 5; ++attempt) {
        port_ = unused_port();
        auto file = substituted(shipped("nginx.conf"));
        replace_all(file, "listen 80;", "listen 127.0.0.1:" + std::to_string(port_) + ";");
        replace_all(file, "    listen [::]:80;\n", "");
        std::ofstream{here_ / "sandboxd.conf"} << file;
        std::ofstream main{here_ / "nginx.conf"};
        main << "user " << nginx_user << ";\nworker_processes 1;\ndaemon off;\npid " << (here_ / "nginx.pid").native()
             << ";\nerror_log stderr notice;\nevents { worker_connections 512; }\nhttp {\n    access_log off;\n";
        for (const char* kind : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"})
            main << "    " << kind << "_temp_path " << (here_ / "temporary" / kind).native() << ";\n";
        main << "    include " << (here_ / "sandboxd.conf").native() << ";\n}\n";
        main.close();
        nginx_ = spawn({nginx_binary, "-p", here_.path(), "-c", here_ / "nginx.conf"}, here_ / "nginx.log",
                       [] { return true; });
        bool ended = false;
        const bool up = eventually([&] {
            if (::waitpid(nginx_, nullptr, WNOHANG) != 0) return ended = true;
            try {
                http_client probe{port_};
                return probe.get("/").status == 421;
            } catch (const std::runtime_error&) {
                return false;  // it does not listen yet
            }
        });
        if (up && !ended) return;
        if (!ended) end(nginx_);
        nginx_ = -1;
    }
    throw std::runtime_error("nginx did not start: " + log());
}

}  // namespace sandboxd::test
