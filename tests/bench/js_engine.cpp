// Microseconds a run in the interpreter, without processes and sockets: a fresh sandbox each time,
// and one that goes on from an image. Prints a table, or, for other programs, the medians of given
// scripts as JSON: `[{"fresh": 6.5, "reused": 20.1}, …]`.
//
//   js_engine [RUNS]
//   js_engine --json RUNS SCRIPT…
#include "engine/interpreter.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace sandboxd;
using clock_type = std::chrono::steady_clock;

struct figures {
    double median;
    double p99;
};

template <class Body>
figures measure(int runs, Body body)
{
    std::vector<double> us;
    us.reserve(static_cast<std::size_t>(runs));
    for (int i = 0; i < runs; ++i) {
        const auto began = clock_type::now();
        body();
        us.push_back(std::chrono::duration<double, std::micro>(clock_type::now() - began).count());
    }
    std::ranges::sort(us);
    return {us[us.size() / 2], us[us.size() * 99 / 100]};
}

figures measure_fresh(engine::interpreter& engine, int runs, const char* script)
{
    script::run_request request;
    request.script = script;
    return measure(runs, [&] { static_cast<void>(engine.run(request)); });
}

// The image goes in and out, as between the server and its workers.
figures measure_reused(engine::interpreter& engine, int runs, const char* script)
{
    script::run_request request;
    request.script = script;
    request.image_bytes = 64 << 20;
    request.image = engine.run(request).image;
    return measure(runs, [&] { static_cast<void>(engine.run(request)); });
}

void print_json(int runs, std::span<char*> scripts)
{
    engine::interpreter engine;
    const char* between = "[";
    for (const char* script : scripts) {
        std::printf("%s{\"fresh\": %.2f, \"reused\": %.2f}", between, measure_fresh(engine, runs, script).median,
                    measure_reused(engine, runs, script).median);
        between = ", ";
    }
    std::printf("]\n");
}

long memory_kib(const char* what)
{
    std::ifstream in{"/proc/self/status"};
    for (std::string line; std::getline(in, line);)
        if (line.starts_with(what)) return std::stol(line.substr(std::string{what}.size() + 1));
    return 0;
}

}  // namespace

int main(int argc, char** argv)
{
    if (argc > 3 && std::string_view{argv[1]} == "--json") {
        const std::span scripts{argv + 3, argv + argc};
        engine::on_engine_stack([&] { print_json(std::atoi(argv[2]), scripts); });
        return 0;
    }
    const int runs = argc > 1 ? std::atoi(argv[1]) : 20'000;
    engine::on_engine_stack([&] {
        const auto began = clock_type::now();
        engine::interpreter engine;
        std::printf("boot                                  %9.1f us\n",
                    std::chrono::duration<double, std::micro>(clock_type::now() - began).count());
        std::printf("%-36s %9s %9s\n", "reset + eval, fresh sandbox", "median", "p99");
        for (const char* script :
             {"1+2", "'a'.repeat(10)", "({a: [1, 2, 3], b: 'x'})", "console.log('hello'); 1",
              "await Promise.resolve(1)", "JSON.stringify(Array.from({length: 100}, (_, i) => ({i})))",
              "(function f(n) { return n < 2 ? n : f(n - 1) + f(n - 2) })(15)"}) {
            const auto got = measure_fresh(engine, runs, script);
            std::printf("  %-34.34s %9.2f %9.2f\n", script, got.median, got.p99);
        }
        script::run_request request;
        request.init_script = "function fib(n) { return n <= 1 ? 1 : fib(n-1) + fib(n-2); }";
        request.script = "fib(1)";
        request.image_bytes = 64 << 20;
        request.image = engine.run(request).image;
        std::printf("reused sandbox, image of %zu bytes\n", request.image.size());
        const auto got = measure(runs, [&] { static_cast<void>(engine.run(request)); });
        std::printf("  %-34.34s %9.2f %9.2f\n", "fib(1), image in and out", got.median, got.p99);
        script::run_request asks;
        asks.script = "await tools.search('x')";
        asks.tools = {"search"};
        asks.max_calls = 1;
        asks.image_bytes = 64 << 20;
        const auto waits = engine.run(asks);
        std::printf("script that waits for a tool, image of %zu bytes\n", waits.image.size());
        auto goes_on = asks;
        goes_on.resumed = script::run_resumption{.image = waits.image,
                                                 .results = R"({"results":[{"id":1,"value":1}]})",
                                                 .fuel_used = waits.fuel_used,
                                                 .wall = waits.wall};
        auto plain = asks;
        plain.script = "await Promise.resolve(1)";
        const auto whole = measure(runs, [&] { static_cast<void>(engine.run(plain)); });
        const auto until = measure(runs, [&] { static_cast<void>(engine.run(asks)); });
        const auto after = measure(runs, [&] { static_cast<void>(engine.run(goes_on)); });
        std::printf("  %-34.34s %9.2f %9.2f\n", "with a tool that is not called", whole.median, whole.p99);
        std::printf("  %-34.34s %9.2f %9.2f\n", "until it waits, image out", until.median, until.p99);
        std::printf("  %-34.34s %9.2f %9.2f\n", "after it waited, image in", after.median, after.p99);
        std::printf("resident: %ld KiB, at most %ld KiB\n", memory_kib("VmRSS:"), memory_kib("VmHWM:"));
    });
    return 0;
}
