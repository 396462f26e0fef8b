// sandboxd-js: the JavaScript worker of sandboxd, and the same interpreter on the command line.
#include "engine/interpreter.hpp"
#include "engine/worker.hpp"
#include "js_options.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace sandboxd;
using app::js_options;

constexpr int exit_runtime_error = 100;
constexpr int exit_out_of_fuel = 101;
constexpr int exit_out_of_memory = 102;

// No limit for the sandbox that is kept for the next run.
constexpr std::uint32_t any_size = ~std::uint32_t{0};

int exit_status_of(script::run_status status)
{
    switch (status) {
        case script::run_status::ok: return EXIT_SUCCESS;
        case script::run_status::runtime_error:
        case script::run_status::never_settled:
        case script::run_status::stack_overflow: return exit_runtime_error;
        case script::run_status::out_of_fuel:
        case script::run_status::timeout: return exit_out_of_fuel;
        case script::run_status::out_of_memory: return exit_out_of_memory;
        case script::run_status::output_limit:
        case script::run_status::fault:
        case script::run_status::pending: return EXIT_FAILURE;
    }
    return EXIT_FAILURE;
}

// False when the result could not be written.
bool report(const script::run_answer& answer, bool quiet)
{
    if (!quiet) {
        engine::write_all(STDERR_FILENO, script::console_text(answer, false));
        engine::write_all(STDERR_FILENO, script::console_text(answer, true));
    }
    if (answer.status == script::run_status::ok) {
        return quiet || engine::write_all(STDOUT_FILENO, answer.result + "\n");
    }
    std::string message = message_of(answer);
    if (answer.thrown.name == "SyntaxError" && answer.thrown.line > 0)
        message += " (" + answer.thrown.file + ":" + std::to_string(answer.thrown.line) + ":" +
                   std::to_string(answer.thrown.column) + ")";
    if (answer.stage == script::run_stage::init && answer.thrown.file != "init") message = "init script: " + message;
    if (const auto cure = cure_of(answer, script::run_place::command_line); !cure.empty()) message += ": " + cure;
    engine::write_all(STDERR_FILENO, message + "\n");
    return true;
}

script::run_request first_request(const js_options& options)
{
    script::run_request request;
    request.init_script = options.init_script;
    request.script = options.script;
    request.limits.fuel = options.fuel;
    request.limits.memory_bytes = options.memory_limit_bytes;
    request.limits.wall = std::chrono::microseconds{0};  // the only limit is fuel
    request.image_bytes = options.reuse ? any_size : 0;
    return request;
}

// Throws when it cannot be read.
std::string text_of_file(const std::string& path)
{
    const bool is_input = path == "-";
    const int fd = is_input ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    std::string text;
    char block[65'536];
    ssize_t count = fd < 0 ? -1 : 1;
    while (count > 0 || (count < 0 && fd >= 0 && errno == EINTR)) {
        count = ::read(fd, block, sizeof block);
        if (count > 0) text.append(block, static_cast<std::size_t>(count));
    }
    if (count < 0) throw std::runtime_error{"cannot read " + path + ": " + std::strerror(errno)};
    if (!is_input) ::close(fd);
    return text;
}

int run_script(const js_options& options, engine::interpreter& engine)
{
    script::run_request request = first_request(options);
    for (std::int64_t left = options.repeat; left > 0; --left) {
        script::run_answer answer = engine.run(request);
        const bool told = report(answer, options.quiet);
        if (answer.status != script::run_status::ok) return exit_status_of(answer.status);
        if (!told) {
            engine::write_all(STDERR_FILENO, "sandboxd-js: cannot write the result\n");
            return EXIT_FAILURE;
        }
        request.image = std::move(answer.image);
    }
    return EXIT_SUCCESS;
}

// The next line of standard input without its end; false at the end of the file.
bool read_line(std::string& line)
{
    static std::string ahead;
    for (;;) {
        if (const auto end = ahead.find('\n'); end != std::string::npos) {
            line = ahead.substr(0, end);
            ahead.erase(0, end + 1);
            return true;
        }
        char block[4'096];
        const ssize_t count = ::read(STDIN_FILENO, block, sizeof block);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) {
            line = std::move(ahead);
            ahead.clear();
            return !line.empty();
        }
        ahead.append(block, static_cast<std::size_t>(count));
    }
}

int run_repl(const js_options& options, engine::interpreter& engine, bool is_terminal)
{
    script::run_request request = first_request(options);
    request.image_bytes = any_size;
    for (;;) {
        if (is_terminal) engine::write_all(STDOUT_FILENO, "> ");
        if (!read_line(request.script)) {
            if (is_terminal) engine::write_all(STDOUT_FILENO, "\n");
            return EXIT_SUCCESS;
        }
        if (request.script.empty()) continue;
        script::run_answer answer = engine.run(request);
        if (!report(answer, options.quiet)) return EXIT_FAILURE;
        if (answer.image.empty() && !request.image.empty())
            engine::write_all(STDERR_FILENO, "The sandbox is lost; starting a new one.\n");
        request.image = std::move(answer.image);
    }
}

int run(const std::vector<const char*>& arguments)
{
    auto options = app::parse_js_options(arguments);
    if (!options) {
        engine::write_all(STDERR_FILENO, "sandboxd-js: " + options.error().message + "\n");
        return EXIT_FAILURE;
    }
    if (options->help) {
        engine::write_all(STDOUT_FILENO, app::js_usage);
        return EXIT_SUCCESS;
    }
    if (options->version) {
        engine::write_all(STDOUT_FILENO, "sandboxd-js " SANDBOXD_VERSION "\n");
        return EXIT_SUCCESS;
    }
    if (options->what == js_options::mode::worker) return engine::serve(options->worker_fd);
    if (!options->script_file.empty()) options->script = text_of_file(options->script_file);
    if (!options->init_script_file.empty()) options->init_script = text_of_file(options->init_script_file);
    const bool is_terminal = ::isatty(STDIN_FILENO) == 1;
    int status = EXIT_FAILURE;
    engine::on_engine_stack([&] {
        engine::interpreter engine{engine::library_compiled::on_demand};
        engine::confine_this_process();
        status = options->what == js_options::mode::repl ? run_repl(*options, engine, is_terminal)
                                                         : run_script(*options, engine);
    });
    return status;
}

}  // namespace

int main(int argc, char** argv)
{
    try {
        return run({argv + 1, argv + argc});
    } catch (const std::exception& e) {
        engine::write_all(STDERR_FILENO, std::string{"sandboxd-js: "} + e.what() + "\n");
        return EXIT_FAILURE;
    }
}
