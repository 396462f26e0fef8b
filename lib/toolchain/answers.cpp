#include "toolchain/answers.hpp"

#include "base/digest.hpp"
#include "base/log.hpp"
#include "base/memory_file.hpp"
#include "toolchain/host.hpp"
#include "toolchain/preamble.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace sandboxd::toolchain {

namespace asio = boost::asio;
using local_socket = asio::local::stream_protocol::socket;

namespace {

// One job asks at most eight at -O3, and once for each of its sources.
constexpr int most_questions = 64;
constexpr std::size_t most_wanted = 8;  // of all clients; each a question of half a MiB at most
constexpr std::size_t most_answer_bytes = 4u << 20;
constexpr std::uint64_t most_bytes_of_one_preamble = 64u << 20;
// Each is an open file of the server's: with 128 MiB, at most 128.
constexpr std::uint64_t least_bytes_of_one_preamble = 1u << 20;
constexpr std::chrono::seconds make_bound{30};
// All of the standard library takes three seconds.
constexpr std::chrono::seconds make_preamble_bound{15};
constexpr std::chrono::milliseconds idle_interval{200};
constexpr int most_idle_waits = 10;
// Where clang finds the file to write; the jail passes no lower number.
constexpr int output_inside = 9;

std::string_view name_of(protocol::topic which)
{
    switch (which) {
        case protocol::topic::compiler: return "/src/compiler";
        case protocol::topic::optimizer: return "/tools/acorn-optimizer";
        case protocol::topic::preamble: return "clang";
        case protocol::topic::times: return "times";
    }
    return {};
}

std::string key_of_question(const question& what, const ground& where)
{
    sha256 hash;
    hash.field(name_of(what.which));
    hash.field(where.directory);
    if (what.which == protocol::topic::preamble) hash.field(where.clang);
    for (const auto& word : where.node) hash.field(word);
    hash.field("arguments");
    for (const auto& word : what.args) hash.field(word);
    hash.field("input");
    hash.field(what.input);
    return to_hex(hash.finish());
}

std::vector<std::string> split(std::string_view text)
{
    std::vector<std::string> words;
    while (!text.empty()) {
        const auto end = std::min(text.find('\0'), text.size());
        words.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return words;
}

// 0: there is no such topic, or nothing to say about it.
std::size_t most_input(protocol::topic which)
{
    switch (which) {
        case protocol::topic::compiler:
        case protocol::topic::optimizer: return protocol::most_ask_input;
        case protocol::topic::preamble: return most_preamble_bytes;
        case protocol::topic::times: return protocol::steps * sizeof(std::uint32_t);
    }
    return 0;
}

step_times times_in(std::string_view input)
{
    std::array<std::uint32_t, protocol::steps> spent{};
    std::memcpy(spent.data(), input.data(), std::min(input.size(), sizeof spent));
    step_times times;
    for (std::size_t i = 0; i < spent.size(); ++i)
        if (spent[i] > 0) times.emplace_back(protocol::step_names[i], spent[i]);
    return times;
}

// A description of its own, which can only be read. Empty: it failed.
unique_fd reopen(const unique_fd& file)
{
    return unique_fd{::open(("/proc/self/fd/" + std::to_string(file.get())).c_str(), O_RDONLY | O_CLOEXEC)};
}

// What took too long, or found no jail, may have met a busy machine.
template <class Value>
void not_made(known_store<Value>& in, const std::string& key, const error& why)
{
    if (why.code == errc::unprocessable)
        in.give_up(key);
    else
        in.put_off(key);
}

}  // namespace

answers::answers(asio::any_io_executor executor, async::task_group& tasks, jail::jail& wall, answers_settings how,
                 metrics::registry& metrics)
    : executor_{std::move(executor)},
      tasks_{tasks},
      wall_{wall},
      texts_{how.bytes, how.age},
      preambles_{how.preamble_bytes, how.age},
      wanted_{most_wanted},
      preambles_file_{std::move(how.preambles_file)},
      of_texts_{metrics.add_counter("sandboxd_compile_answers_total",
                                    "Steps of compilers in JavaScript whose answer was asked for: known and taken, not "
                                    "known, or known and of no use.",
                                    "result=\"known\""),
                metrics.add_counter("sandboxd_compile_answers_total", "", "result=\"unknown\""),
                metrics.add_counter("sandboxd_compile_answers_total", "", "result=\"unused\"")},
      of_preambles_{metrics.add_counter("sandboxd_compile_preambles_total",
                                        "Sources in C++ that begin with system headers, by whether these were "
                                        "precompiled: known, not known, or known and of no use (the compiler had "
                                        "something to say, and said it without).",
                                        "result=\"known\""),
                    metrics.add_counter("sandboxd_compile_preambles_total", "", "result=\"unknown\""),
                    metrics.add_counter("sandboxd_compile_preambles_total", "", "result=\"unused\"")},
      crowded_out_{metrics.add_counter("sandboxd_compile_answers_crowded_out_total",
                                       "Answers and preambles that are not made for now, since too many wait: those of "
                                       "the client that wants the most.")}
{
    metrics.add_gauge("sandboxd_compile_answers_bytes", "Bytes of the answers that are kept (compile.warmAnswersMB).",
                      [this] { return static_cast<double>(texts_.bytes()); });
    metrics.add_gauge("sandboxd_compile_preambles_bytes",
                      "Bytes of the precompiled preambles that are kept (compile.warmPreamblesMB).",
                      [this] { return static_cast<double>(preambles_.bytes()); });
    metrics.add_gauge("sandboxd_compile_preambles_kept",
                      "Precompiled preambles that are kept; each is an open file of the server.",
                      [this] { return static_cast<double>(preambles_.size()); });
    metrics.add_gauge("sandboxd_compile_answers_wanted",
                      "Answers and preambles that are being made, and that wait for it.",
                      [this] { return static_cast<double>(wanted_.size() + recalled_.size()); });
    if (preambles_file_.empty() || !preambles_.keeps_anything()) return;
    if (!used_.load(preambles_file_) && ::access(preambles_file_.c_str(), F_OK) == 0)
        log::warning("the list of preambles is not whole, and is begun anew", {{"file", preambles_file_}});
}

void answers::clear()
{
    texts_.clear();
    preambles_.clear();
    recalled_.clear();
    has_recalled_ = false;
    ++toolchain_;
}

void answers::close()
{
    if (!stop_.requested()) note();
    clear();
    stop_.request(errc::draining);
}

void answers::note()
{
    if (preambles_file_.empty() || !preambles_.keeps_anything()) return;
    if (const auto saved = used_.save(preambles_file_); !saved)
        log::warning("the list of preambles is not saved", {{"cause", saved.error().message}});
}

void answers::recall(const ground& where)
{
    if (has_recalled_ || where.clang.empty() || !preambles_.keeps_anything() || stop_.requested()) return;
    has_recalled_ = true;
    for (auto& one : used_.all()) {
        // The file could be another server's, with other rules.
        if (preamble_bytes(one.text) != one.text.size() || !preamble_may_be_known(one.args)) continue;
        question again{.which = protocol::topic::preamble, .args = std::move(one.args), .input = std::move(one.text)};
        auto key = key_of_question(again, where);
        recalled_.push_back({std::move(key), std::move(again), where});
    }
    make();
}

void answers::make()
{
    if (makes_ || (wanted_.empty() && recalled_.empty())) return;
    makes_ = true;
    tasks_.spawn("make known answers", make_all());
}

template <class Value>
std::shared_ptr<const Value> answers::find(known_store<Value>& in, counters& of, const question& what,
                                           const ground& where)
{
    if (!in.keeps_anything() || stop_.requested()) return nullptr;
    auto key = key_of_question(what, where);
    auto found = in.find(key);
    using state = typename known_store<Value>::state;
    if (found.how != state::known) of.unknown.add();
    if (found.how == state::again) want(std::move(key), what, where);
    return std::move(found.value);
}

// One after the other; what there is no room for is asked for again another time.
void answers::want(std::string key, const question& what, const ground& where)
{
    using added = wanted_list<task>::added;
    const auto how = wanted_.add({where.base.client, std::move(key), {what, where}});
    if (how == added::no_room || how == added::instead) crowded_out_.add();
    make();
}

asio::awaitable<void> answers::make_all()
{
    struct at_end {
        ~at_end()
        {
            of.wanted_.clear();
            of.recalled_.clear();
            of.makes_ = false;
        }
        answers& of;
    } const done{*this};
    while (!stop_.requested()) {
        if (auto next = wanted_.next()) {
            wanted one{std::move(next->key), std::move(next->what.what), std::move(next->what.where)};
            if (one.what.which == protocol::topic::preamble)
                co_await make_wanted_preamble(std::move(one));
            else
                co_await make_text(std::move(one));
        } else if (!recalled_.empty()) {
            co_await make_recalled();
        } else {
            break;
        }
    }
}

asio::awaitable<void> answers::make_wanted_preamble(wanted one)
{
    const auto what = one.what;
    const auto key = one.key;
    co_await make_preamble(std::move(one));
    if (!preambles_.has(key)) co_return;
    used_.used(what.args, what.input);
    // Now, since a server that is killed notes nothing.
    note();
}

asio::awaitable<void> answers::make_recalled()
{
    auto next = std::move(recalled_.front());
    recalled_.pop_front();
    // Room is left for what jobs ask now; nothing of theirs gives way.
    const bool has_room = preambles_.bytes() < preambles_.most_bytes() / 4 * 3;
    if (has_room && !preambles_.has(next.key)) co_await make_preamble(std::move(next));
}

asio::awaitable<void> answers::wait_for_idleness()
{
    asio::steady_timer timer{executor_};
    for (int i = 0; i < most_idle_waits && jobs_ > 0 && !stop_.requested(); ++i) {
        timer.expires_after(idle_interval);
        co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    }
}

asio::awaitable<result<process::outcome>> answers::run(jail::spec spec, std::chrono::milliseconds bound)
{
    spec.merge_stderr = false;
    const process::child_limits bounds{.wall = bound, .output_bytes = most_answer_bytes};
    // Its own, beside the one that ends all: a limit that this one runs into ends this one.
    async::stop_source stop;
    const async::stop_callback on_close{stop_, [&stop](errc why) { stop.request(why); }};
    auto ran = co_await wall_.run(std::move(spec), bounds, stop);
    if (!ran) co_return ran;
    if (stop.requested()) co_return make_error(stop.cause());
    const auto* const ended = std::get_if<process::exited>(&ran->status);
    // Who prints a warning, or fails, is to do so in each job.
    if (ended == nullptr || ended->code != 0 || !ran->err.empty() || ran->truncated)
        co_return make_error(errc::unprocessable);
    co_return ran;
}

asio::awaitable<void> answers::make_text(wanted one)
{
    auto& [key, what, where] = one;
    const auto toolchain = toolchain_;
    auto spec = std::move(where.base);
    spec.argv = where.node;
    // emcc 3.1.6 has scripts, later versions modules.
    const auto script = where.directory + std::string{name_of(what.which)};
    const auto module = script + ".mjs";
    spec.argv.push_back(::access(module.c_str(), R_OK) == 0 ? module : script + ".js");
    // In the jail standard input is a file in memory.
    spec.argv.emplace_back("/dev/stdin");
    spec.argv.insert(spec.argv.end(), what.args.begin(), what.args.end());
    spec.cwd = what.which == protocol::topic::compiler ? where.directory + "/src" : "/tmp";
    spec.stdin_text = std::move(what.input);
    auto ran = co_await run(std::move(spec), make_bound);
    if (toolchain != toolchain_) co_return;
    if (!ran) {
        not_made(texts_, key, ran.error());
        co_return;
    }
    const auto size = ran->out.size();
    texts_.keep(key, std::make_shared<const std::string>(std::move(ran->out)), size);
}

asio::awaitable<void> answers::make_preamble(wanted one)
{
    auto& [key, what, where] = one;
    const auto toolchain = toolchain_;
    co_await wait_for_idleness();
    auto file = empty_memory_file("preamble");
    if (!file || stop_.requested() || toolchain != toolchain_) co_return;
    auto spec = std::move(where.base);
    spec.argv = {where.clang, "--driver-mode=g++"};
    spec.argv.insert(spec.argv.end(), what.args.begin(), what.args.end());
    // No time of day in the file; templates that the headers use themselves are instantiated once for all.
    for (const char* const word :
         {"-Xclang", "-fno-pch-timestamp", "-fpch-instantiate-templates", "-x", "c++-header", "-", "-o"})
        spec.argv.emplace_back(word);
    spec.argv.push_back("/proc/self/fd/" + std::to_string(output_inside));
    spec.cwd = "/tmp";
    spec.stdin_text = std::move(what.input);
    spec.pass_fds = {{file->get(), output_inside}};
    const auto ran = co_await run(std::move(spec), make_preamble_bound);
    if (toolchain != toolchain_) co_return;
    struct stat made{};
    // The jail has ended, and nobody else has the file.
    const bool is_good = ran && ran->out.empty() && seal_memory_file(*file) && ::fstat(file->get(), &made) == 0 &&
                         made.st_size > 0 && static_cast<std::uint64_t>(made.st_size) <= most_bytes_of_one_preamble;
    if (is_good)
        preambles_.keep(key, std::make_shared<const unique_fd>(std::move(*file)),
                        std::max(static_cast<std::uint64_t>(made.st_size), least_bytes_of_one_preamble));
    else
        not_made(preambles_, key, ran ? make_error(errc::unprocessable) : ran.error());
}

asio::awaitable<answers::use_of_answer> answers::wait_for_use(local_socket& socket, counters& of)
{
    char word = 0;
    const auto [lost, bytes] =
        co_await asio::async_read(socket, asio::buffer(&word, 1), asio::as_tuple(asio::use_awaitable));
    const bool is_taken = !lost && word == protocol::taken;
    (is_taken ? of.known : of.unused).add();
    co_return use_of_answer{.is_taken = is_taken, .goes_on = is_taken || (!lost && word == protocol::not_taken)};
}

asio::awaitable<bool> answers::answer_text(local_socket& socket, question what, const ground& where)
{
    // Held here while the job takes its time to read.
    const auto text = find(texts_, of_texts_, what, where);
    const protocol::answer said{.known = text ? 1u : 0u, .bytes = text ? static_cast<std::uint32_t>(text->size()) : 0u};
    const std::array<asio::const_buffer, 2> from{asio::buffer(&said, sizeof said),
                                                 text ? asio::buffer(*text) : asio::const_buffer{}};
    const auto [unsent, bytes] = co_await asio::async_write(socket, from, asio::as_tuple(asio::use_awaitable));
    if (unsent) co_return false;
    if (!text) co_return true;
    const auto use = co_await wait_for_use(socket, of_texts_);
    co_return use.goes_on;
}

asio::awaitable<bool> answers::answer_preamble(local_socket& socket, question what, const ground& where)
{
    what.input.resize(preamble_bytes(what.input));
    std::shared_ptr<const unique_fd> file;
    if (!what.input.empty() && !where.clang.empty() && preamble_may_be_known(what.args))
        file = find(preambles_, of_preambles_, what, where);
    const auto given = file ? reopen(*file) : unique_fd{};
    const protocol::answer said{.known = given ? 1u : 0u, .bytes = static_cast<std::uint32_t>(what.input.size())};
    if (!given) {
        const auto [unsent, bytes] =
            co_await asio::async_write(socket, asio::buffer(&said, sizeof said), asio::as_tuple(asio::use_awaitable));
        co_return !unsent;
    }
    // A job that has not read the last answer gets no more.
    const int file_given = given.get();
    if (!send_message(socket.native_handle(), &said, sizeof said, {&file_given, 1})) co_return false;
    const auto use = co_await wait_for_use(socket, of_preambles_);
    if (use.is_taken) used_.used(what.args, what.input);
    co_return use.goes_on;
}

asio::awaitable<step_times> answers::serve(local_socket& socket, const ground& where)
{
    const auto token = asio::as_tuple(asio::use_awaitable);
    step_times times;
    bool goes_on = true;
    for (int count = 0; count < most_questions && goes_on; ++count) {
        protocol::ask told{};
        const auto [no_head, head_bytes] = co_await asio::async_read(socket, asio::buffer(&told, sizeof told), token);
        if (no_head || told.arguments_bytes > protocol::most_ask_arguments || told.input_bytes > most_input(told.which))
            break;
        std::string words(told.arguments_bytes, '\0');
        question what{.which = told.which, .args = {}, .input = std::string(told.input_bytes, '\0')};
        const std::array<asio::mutable_buffer, 2> into{asio::buffer(words), asio::buffer(what.input)};
        const auto [no_body, body_bytes] = co_await asio::async_read(socket, into, token);
        if (no_body) break;
        what.args = split(words);
        if (told.which == protocol::topic::times)
            times = times_in(what.input);
        else if (told.which == protocol::topic::preamble)
            goes_on = co_await answer_preamble(socket, std::move(what), where);
        else
            goes_on = co_await answer_text(socket, std::move(what), where);
    }
    co_return times;
}

}  // namespace sandboxd::toolchain
