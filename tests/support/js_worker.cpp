#include "support/js_worker.hpp"

#include "script/frame_socket.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace sandboxd::test {

namespace {

namespace fs = std::filesystem;

std::vector<std::string> lines_of(const fs::path& path)
{
    std::ifstream in{path};
    if (!in) throw std::runtime_error{"cannot read " + path.string()};
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

bool same_json(const std::string& a, const std::string& b)
{
    boost::system::error_code ec_a;
    boost::system::error_code ec_b;
    const auto left = boost::json::parse(a, ec_a);
    const auto right = boost::json::parse(b, ec_b);
    if (ec_a || ec_b) return a == b;
    return boost::json::serialize(left) == boost::json::serialize(right);
}

}  // namespace

js_worker::js_worker()
{
    int ends[2];
    // That a worker has died is for its caller to see.
    ::signal(SIGPIPE, SIG_IGN);
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) throw std::runtime_error{"socketpair"};
    pid_ = ::fork();
    if (pid_ < 0) throw std::runtime_error{"fork"};
    if (pid_ == 0) {
        if (ends[1] == 9)
            ::fcntl(9, F_SETFD, 0);
        else
            ::dup2(ends[1], 9);
        ::execl(SANDBOXD_JS_BINARY, "sandboxd-js", "--worker-fd", "9", nullptr);
        ::_exit(127);
    }
    ::close(ends[1]);
    socket_ = ends[0];
    const auto ready = script::receive_frame(socket_, buffer_);
    if (!ready || !ready->empty()) throw std::runtime_error{"the worker does not come up"};
}

js_worker::~js_worker()
{
    ::close(socket_);
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
}

std::optional<script::run_answer> js_worker::run(const script::run_request& request)
{
    if (!script::send_frame(socket_, script::encode_frame(request, ++requests_))) return std::nullopt;
    const auto body = script::receive_frame(socket_, buffer_);
    if (!body) return std::nullopt;
    auto answer = script::decode_answer(*body);
    if (!answer) throw std::runtime_error{answer.error().message};
    if (answer->number != requests_) throw std::runtime_error{"an answer to another request"};
    return std::move(answer->message);
}

script::run_answer js_worker::eval(std::string script)
{
    script::run_request request;
    request.script = std::move(script);
    auto answer = run(request);
    if (!answer) throw std::runtime_error{"the worker died"};
    return std::move(*answer);
}

js_command_result run_js_command(const std::vector<std::string>& arguments, const std::string& input)
{
    int in[2];
    int out[2];
    int err[2];
    if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0)
        throw std::runtime_error{"pipe"};
    const pid_t pid = ::fork();
    if (pid < 0) throw std::runtime_error{"fork"};
    if (pid == 0) {
        ::dup2(in[0], 0);
        ::dup2(out[1], 1);
        ::dup2(err[1], 2);
        std::vector<char*> argv;
        std::string name{"sandboxd-js"};
        argv.push_back(name.data());
        std::vector<std::string> copies = arguments;
        for (auto& one : copies) argv.push_back(one.data());
        argv.push_back(nullptr);
        ::execv(SANDBOXD_JS_BINARY, argv.data());
        ::_exit(127);
    }
    for (const int fd : {in[0], out[1], err[1]}) ::close(fd);
    for (std::size_t done = 0; done < input.size();) {
        const ssize_t count = ::write(in[1], input.data() + done, input.size() - done);
        if (count <= 0) break;
        done += static_cast<std::size_t>(count);
    }
    ::close(in[1]);
    js_command_result got;
    std::array<pollfd, 2> open{{{out[0], POLLIN, 0}, {err[0], POLLIN, 0}}};
    while (open[0].fd >= 0 || open[1].fd >= 0) {
        ::poll(open.data(), open.size(), -1);
        for (std::size_t i = 0; i < open.size(); ++i) {
            if (open[i].fd < 0 || open[i].revents == 0) continue;
            char block[4'096];
            const ssize_t count = ::read(open[i].fd, block, sizeof block);
            if (count <= 0) {
                ::close(open[i].fd);
                open[i].fd = -1;
            } else {
                (i == 0 ? got.out : got.err).append(block, static_cast<std::size_t>(count));
            }
        }
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    got.status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return got;
}

std::vector<js_example> read_js_examples()
{
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator{fs::path{SANDBOXD_JS_DATA} / "conformance"})
        files.push_back(entry.path());
    std::ranges::sort(files);
    std::vector<js_example> examples;
    for (const auto& file : files) {
        int number = 0;
        for (const auto& line : lines_of(file)) {
            ++number;
            if (line.empty() || line.starts_with("//")) continue;
            const auto fine = line.rfind("  //=> ");
            const auto failure = line.rfind("  //!> ");
            const bool fails = fine == std::string::npos;
            const auto at = fails ? failure : fine;
            if (at == std::string::npos)
                throw std::runtime_error{file.string() + ":" + std::to_string(number) + ": nothing expected"};
            examples.push_back({file.filename(), number, line.substr(0, at), line.substr(at + 7), fails});
        }
    }
    return examples;
}

std::optional<std::string> differs(const js_example& example, script::run_status status, const std::string& result,
                                   const std::string& message)
{
    const std::string where = example.file + ":" + std::to_string(example.line) + ": " + example.script;
    if (!example.fails) {
        if (status == script::run_status::ok && same_json(result, example.expected)) return std::nullopt;
        return where + "\n  expected " + example.expected + ", got " + std::string{script::name(status)} + " " +
               result + " " + message;
    }
    const bool fits = message == example.expected || message.starts_with(example.expected + ":");
    if (status == script::run_status::runtime_error && fits) return std::nullopt;
    return where + "\n  expected the error " + example.expected + ", got " + std::string{script::name(status)} + " " +
           result + " " + message;
}

std::vector<js_attack> read_js_attacks()
{
    std::vector<js_attack> attacks;
    for (const auto& line : lines_of(fs::path{SANDBOXD_JS_DATA} / "hostile.txt")) {
        if (line.starts_with("### ")) {
            const auto bar = line.rfind(" | ");
            js_attack made;
            made.name = line.substr(4, bar - 4);
            std::string rest = line.substr(bar + 3);
            for (std::size_t comma = 0; comma != std::string::npos;) {
                comma = rest.find(',');
                made.allowed.push_back(rest.substr(0, comma));
                if (comma != std::string::npos) rest.erase(0, comma + 1);
            }
            attacks.push_back(std::move(made));
        } else if (!line.starts_with('#') && !attacks.empty()) {
            attacks.back().script += line + "\n";
        }
    }
    return attacks;
}

}  // namespace sandboxd::test
