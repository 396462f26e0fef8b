#include "support/server_process.hpp"

#include "support/eventually.hpp"
#include "support/http_client.hpp"
#include "support/proc.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace sandboxd::test {

namespace {

std::string slurp(const std::filesystem::path& file)
{
    std::ifstream in{file, std::ios::binary};
    return {std::istreambuf_iterator<char>{in}, {}};
}

// fork and exec with standard output and error going to the given descriptors.
pid_t spawn(const std::vector<std::string>& arguments, const std::vector<std::pair<std::string, std::string>>& env,
            const std::filesystem::path& cwd, int out, int err, std::optional<rlim_t> open_files = std::nullopt)
{
    std::vector<std::string> variables{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/nonexistent"};
    // The sanitizers' options must reach the server.
    for (const char* name : {"ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"}) {
        if (const char* value = std::getenv(name)) variables.push_back(std::string{name} + "=" + value);
    }
    for (const auto& [name, value] : env) variables.push_back(name + "=" + value);
    std::vector<char*> argv{const_cast<char*>(SANDBOXD_BINARY)};
    for (const auto& one : arguments) argv.push_back(const_cast<char*>(one.c_str()));
    argv.push_back(nullptr);
    std::vector<char*> envp;
    for (const auto& one : variables) envp.push_back(const_cast<char*>(one.c_str()));
    envp.push_back(nullptr);

    const pid_t pid = ::fork();
    if (pid < 0) throw std::runtime_error("fork failed");
    if (pid > 0) return pid;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that is killed for its time takes its server with it
    if (::chdir(cwd.c_str()) != 0) ::_exit(126);
    const int null = ::open("/dev/null", O_RDONLY);
    ::dup2(null, 0);
    ::dup2(out, 1);
    ::dup2(err, 2);
    ::close_range(3, ~0U, 0);
    if (open_files) {
        const rlimit limit{*open_files, *open_files};
        ::setrlimit(RLIMIT_NOFILE, &limit);
    }
    ::execve(SANDBOXD_BINARY, argv.data(), envp.data());
    ::_exit(127);
}

process_end reap(pid_t pid)
{
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status)) return {true, WEXITSTATUS(status)};
    return {false, WTERMSIG(status)};
}

// Reads the first line; the whole of what came when the writer ends without one.
std::string read_line(int fd)
{
    std::string line;
    char c = 0;
    while (::read(fd, &c, 1) == 1 && c != '\n') line += c;
    return line;
}

}  // namespace

server_process::server_process(server_options options) : working_dir_{options.working_dir.value_or(own_ / "work")}
{
    start(options);
    if (!options.wait_ready) return;
    // The probe compiles for real; the server answers meanwhile, so asking again is the way to wait.
    for (;;) {
        http_client client{*this};
        const auto answer = client.get("/readyz");
        if (answer.status == 200) return;
        if (answer.status != 503) throw std::runtime_error("/readyz answers " + std::to_string(answer.status));
        // One that was too slow is tried again: the machine may be busy.
        if (answer.body.find("toolchain:") != std::string::npos && answer.body.find("time limit") == std::string::npos)
            throw std::runtime_error("not ready: " + answer.body);
        std::this_thread::sleep_for(std::chrono::milliseconds{20});  // a pause between polls
    }
}

void server_process::start(const server_options& options)
{
    std::filesystem::create_directories(working_dir_);
    const auto config = own_ / "config.json";
    auto members = options.config;
    if (!options.js && members.find("\"js\"") == std::string::npos)
        members += std::string{members.empty() ? "" : ", "} + R"("js": {"enabled": false})";
    std::ofstream{config} << "{" << members << "}\n";
    int out[2];
    if (::pipe2(out, O_CLOEXEC) != 0) throw std::runtime_error("pipe failed");
    const int err = ::open((own_ / "stderr").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    const std::vector<std::string> usual{"--config", config, "--addr", options.addr, "--working-dir", working_dir_};
    pid_ = spawn(options.arguments.value_or(usual), options.env, options.cwd, out[1], err, options.open_files);
    ::close(out[1]);
    ::close(err);
    const auto line = read_line(out[0]);
    ::close(out[0]);
    constexpr std::string_view prefix = "sandboxd listening on ";
    if (!line.starts_with(prefix)) {
        reap(pid_);
        ended_ = true;
        throw std::runtime_error("sandboxd did not start: " + line + log());
    }
    // Behind it there may be more, for people.
    url_ = line.substr(prefix.size(), line.find(' ', prefix.size()) - prefix.size());
    if (url_.starts_with("http://")) port_ = static_cast<std::uint16_t>(std::stoul(url_.substr(url_.rfind(':') + 1)));
}

server_process::~server_process()
{
    if (ended_) return;
    ::kill(pid_, SIGKILL);
    reap(pid_);
}

void server_process::signal(int number) const { ::kill(pid_, number); }

process_end server_process::wait()
{
    const auto end = reap(pid_);
    ended_ = true;
    return end;
}

process_end server_process::stop()
{
    signal(SIGTERM);
    return wait();
}

std::string server_process::log() const { return slurp(own_ / "stderr"); }

bool server_process::logs(std::string_view text) const
{
    return eventually([&] { return log().find(text) != std::string::npos; });
}

std::vector<std::string> server_process::job_directories() const { return names_in(working_dir_ / "jobs"); }

std::vector<pid_t> server_process::job_processes() const
{
    const auto jobs = (working_dir_ / "jobs").native();
    // In a mount's line the path begins at the root of its file system: the end of it is what counts.
    const auto marker = jobs.substr(jobs.find("sandboxd-test-"));
    std::vector<pid_t> found;
    for (const auto& name : names_in("/proc")) {
        if (name.find_first_not_of("0123456789") != std::string::npos) continue;
        const auto pid = static_cast<pid_t>(std::stol(name));
        if (pid == pid_ || pid == ::getpid()) continue;
        const auto proc = "/proc/" + name;
        std::error_code gone;
        const auto cwd = std::filesystem::read_symlink(proc + "/cwd", gone).native();
        for (const auto& text : {text_of(proc + "/cmdline"), text_of(proc + "/mountinfo"), cwd}) {
            if (text.find(marker) == std::string::npos) continue;
            found.push_back(pid);
            break;
        }
    }
    return found;
}

std::string server_process::children() const
{
    const auto pid = std::to_string(pid_);
    // Without the compilers that it keeps started, and the jail that waits with them: they are there all the time.
    const auto waiting = jails_that_wait(pid_);
    std::string others;
    for (const auto one : numbers_in(text_of("/proc/" + pid + "/task/" + pid + "/children"))) {
        const auto is_tool = text_of("/proc/" + std::to_string(one) + "/comm") == "sandboxd-tool\n";
        if (!is_tool && std::ranges::none_of(waiting, [&](const auto& jail) { return jail.front() == one; }))
            others += std::to_string(one) + " ";
    }
    return others;
}

bool server_process::clean() const
{
    return eventually([this] { return job_directories().empty() && job_processes().empty() && children().empty(); });
}

double server_process::metric(std::string_view sample, const header_list& op) const
{
    http_client client{*this};
    const auto answer = client.get("/metrics", op);
    const auto wanted = "\n" + std::string{sample} + " ";
    const auto at = answer.body.find(wanted);
    return at == std::string::npos ? 0 : std::stod(answer.body.substr(at + wanted.size()));
}

run_result run_sandboxd(const std::vector<std::string>& arguments,
                        const std::vector<std::pair<std::string, std::string>>& env, const std::filesystem::path& cwd)
{
    const temporary_directory own;
    const int out = ::open((own / "out").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    const int err = ::open((own / "err").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    const pid_t pid = spawn(arguments, env, cwd, out, err);
    ::close(out);
    ::close(err);
    const auto end = reap(pid);
    return {end, slurp(own / "out"), slurp(own / "err")};
}

}  // namespace sandboxd::test
