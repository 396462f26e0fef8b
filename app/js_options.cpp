#include "js_options.hpp"

#include <charconv>

namespace sandboxd::app {

const std::string_view js_usage =
    R"(sandboxd-js: runs JavaScript in a sandbox

usage: sandboxd-js --script SCRIPT [options]
       sandboxd-js repl [options]

  -s, --script SCRIPT      run this; its last value goes to standard output as
                           JSON, its console output to standard error
  --script-file FILE       the same, from a file; - is standard input
  --init-script SCRIPT     run this first in each new sandbox; its globals stay,
                           its value is dropped
  --init-script-file FILE  the same, from a file
  --memory-limit-bytes N   linear memory of the sandbox (52428800)
  --fuel N                 CPU budget of a run, in executed WebAssembly
                           instructions (440000000, about 100 ms); the init
                           script has the same budget again
  --repeat N               run it N times (1)
  --reuse                  keep the sandbox from one run to the next; the init
                           script then runs once
  -q, --quiet              print only errors, neither results nor console
  --version                print the version and exit
  --help                   print this and exit

repl reads one script per line and keeps the sandbox as long as it is intact.

Exit status: 0; 100 runtime error, 101 out of fuel, 102 out of memory;
1 anything else.
)";

namespace {

error refuse(std::string message) { return {errc::invalid_request, std::move(message) + "; see sandboxd-js --help"}; }

template <class Integer>
result<void> to_number(std::string_view name, std::string_view text, Integer low, Integer& into)
{
    Integer value{};
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (ec != std::errc{} || end != text.data() + text.size() || value < low)
        return refuse(std::string{name} + " needs an integer from " + std::to_string(low));
    into = value;
    return {};
}

}  // namespace

result<js_options> parse_js_options(std::span<const char* const> arguments)
{
    js_options into;
    bool has_script = false;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string_view argument{arguments[i]};
        if (argument == "repl" && into.what == js_options::mode::script && !has_script) {
            into.what = js_options::mode::repl;
            continue;
        }
        const bool is_long = argument.starts_with("--");
        const auto equals = is_long ? argument.find('=') : std::string_view::npos;
        const auto name = argument.substr(0, equals);
        const bool joined = equals != std::string_view::npos;

        auto* const flag = name == "--reuse"                   ? &into.reuse
                           : name == "--quiet" || name == "-q" ? &into.quiet
                           : name == "--help" || name == "-h"  ? &into.help
                           : name == "--version"               ? &into.version
                                                               : nullptr;
        if (flag) {
            if (joined) return refuse(std::string{name} + " takes no value");
            *flag = true;
            continue;
        }
        const bool is_script = name == "--script" || name == "-s";
        const bool is_init = name == "--init-script";
        const bool known = is_script || is_init || name == "--script-file" || name == "--init-script-file" ||
                           name == "--memory-limit-bytes" || name == "--fuel" || name == "--repeat" ||
                           name == "--worker-fd";
        if (!known) return refuse("unknown argument '" + std::string{argument} + "'");
        std::string_view value;
        if (joined) {
            value = argument.substr(equals + 1);
        } else if (i + 1 < arguments.size()) {
            value = arguments[++i];
        } else {
            return refuse(std::string{name} + " needs a value");
        }
        result<void> taken;
        if (is_script) {
            into.script = std::string{value};
            has_script = true;
        } else if (name == "--script-file") {
            into.script_file = std::string{value};
        } else if (is_init) {
            into.init_script = std::string{value};
        } else if (name == "--init-script-file") {
            into.init_script_file = std::string{value};
        } else if (name == "--memory-limit-bytes") {
            taken = to_number<std::uint64_t>(name, value, 1, into.memory_limit_bytes);
        } else if (name == "--fuel") {
            taken = to_number<std::int64_t>(name, value, 1, into.fuel);
        } else if (name == "--repeat") {
            taken = to_number<std::int64_t>(name, value, 1, into.repeat);
        } else {
            taken = to_number<int>(name, value, 3, into.worker_fd);
            into.what = js_options::mode::worker;
        }
        if (!taken) return taken.error();
    }
    const bool has_file = !into.script_file.empty();
    if (has_script && has_file) return refuse("--script and --script-file exclude each other");
    if (into.init_script && !into.init_script_file.empty())
        return refuse("--init-script and --init-script-file exclude each other");
    if (into.what == js_options::mode::repl && (has_script || has_file))
        return refuse("repl reads its scripts from standard input: leave out --script");
    if (into.init_script_file == "-" && (into.script_file == "-" || into.what == js_options::mode::repl))
        return refuse("--init-script-file: the script already uses standard input");
    if (into.what == js_options::mode::script && !has_script && !has_file && !into.help && !into.version)
        return refuse("--script is missing");
    return into;
}

}  // namespace sandboxd::app
