#include "toolchain/answers.hpp"

#include "base/digest.hpp"
#include "base/log.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <array>
#include <utility>

namespace sandboxd::toolchain {

namespace asio = boost::asio;
using std::chrono::steady_clock;

namespace {

// One job asks at most eight at -O3.
constexpr int most_questions = 64;
constexpr std::size_t most_wanted = 8;  // each a question of half a MiB at most
constexpr std::size_t most_answer_bytes = 4u << 20;
constexpr std::chrono::seconds make_bound{30};
// What an entry takes beside its text: digest, two nodes.
constexpr std::uint64_t overhead = 256;

std::string_view file_of(protocol::script which)
{
    return which == protocol::script::compiler ? "/src/compiler.js" : "/tools/acorn-optimizer.js";
}

std::string key_of_question(const question& what, const ground& where)
{
    sha256 hash;
    hash.field(file_of(what.which));
    hash.field(where.directory);
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

}  // namespace

answers::answers(async::task_group& tasks, jail::jail& wall, answers_settings how, metrics::registry& metrics)
    : tasks_{tasks},
      wall_{wall},
      settings_{how},
      hits_{metrics.add_counter(
          "sandboxd_compile_answers_total",
          "Steps of compilers in JavaScript whose answer was asked for, by whether it was known and taken.",
          "result=\"known\"")},
      misses_{metrics.add_counter("sandboxd_compile_answers_total", "", "result=\"unknown\"")},
      unused_{metrics.add_counter("sandboxd_compile_answers_total", "", "result=\"unused\"")}
{
    metrics.add_gauge("sandboxd_compile_answers_bytes", "Bytes of the answers that are kept (compile.warmAnswersMB).",
                      [this] { return static_cast<double>(bytes_); });
    metrics.add_gauge("sandboxd_compile_answers_wanted", "Answers that are being made, and that wait for it.",
                      [this] { return static_cast<double>(wanted_.size()); });
}

void answers::clear()
{
    known_.clear();
    order_.clear();
    bytes_ = 0;
    ++toolchain_;
}

void answers::close()
{
    clear();
    stop_.request(errc::draining);
}

void answers::forget_oldest()
{
    const auto at = known_.find(order_.back());
    bytes_ -= overhead + (at->second.text ? at->second.text->size() : 0);
    known_.erase(at);
    order_.pop_back();
}

void answers::forget_what_is_old()
{
    const auto limit = steady_clock::now() - settings_.age;
    while (!order_.empty() && known_.find(order_.back())->second.used < limit) forget_oldest();
}

void answers::keep(const std::string& key, std::shared_ptr<const std::string> text)
{
    const auto size = overhead + (text ? text->size() : 0);
    if (size > settings_.bytes) return;
    auto at = known_.find(key);
    if (at == known_.end()) {
        order_.push_front(key);
        at = known_.emplace(key, entry{nullptr, {}, order_.begin()}).first;
        bytes_ += overhead;
    }
    bytes_ += size - overhead;
    at->second.text = std::move(text);
    at->second.used = steady_clock::now();
    order_.splice(order_.begin(), order_, at->second.place);
    while (bytes_ > settings_.bytes) forget_oldest();
}

std::shared_ptr<const std::string> answers::find(const question& what, const ground& where)
{
    if (settings_.bytes == 0 || stop_.requested()) return nullptr;
    forget_what_is_old();
    auto key = key_of_question(what, where);
    const auto at = known_.find(key);
    if (at == known_.end()) {
        misses_.add();
        keep(key, nullptr);
        return nullptr;
    }
    at->second.used = steady_clock::now();
    order_.splice(order_.begin(), order_, at->second.place);
    if (at->second.text) return at->second.text;
    misses_.add();
    // One after the other; whom there is no room for is asked for again another time.
    const auto waits = [&](const wanted& one) { return one.key == key; };
    if (wanted_.size() == most_wanted || std::ranges::any_of(wanted_, waits)) return nullptr;
    wanted_.push_back({std::move(key), what, where});
    if (wanted_.size() == 1) tasks_.spawn("make known answers", make_all());
    return nullptr;
}

asio::awaitable<void> answers::make_all()
{
    struct at_end {
        ~at_end() { wanted.clear(); }
        std::deque<answers::wanted>& wanted;
    } const done{wanted_};
    while (!wanted_.empty() && !stop_.requested()) {
        // It stays in front until it is made, so that it is not wanted twice.
        auto next = wanted_.front();
        co_await make(std::move(next));
        wanted_.pop_front();
    }
}

asio::awaitable<void> answers::make(wanted one)
{
    auto& [key, what, where] = one;
    const auto toolchain = toolchain_;
    auto spec = std::move(where.base);
    spec.argv = where.node;
    // In the jail standard input is a file in memory.
    for (const auto& word : {where.directory + std::string{file_of(what.which)}, std::string{"/dev/stdin"}})
        spec.argv.push_back(word);
    spec.argv.insert(spec.argv.end(), what.args.begin(), what.args.end());
    spec.cwd = what.which == protocol::script::compiler ? where.directory + "/src" : "/tmp";
    spec.stdin_text = std::move(what.input);
    spec.merge_stderr = false;
    const process::child_limits bounds{.wall = make_bound, .output_bytes = most_answer_bytes};
    // Its own, beside the one that ends all: a limit that this one runs into ends this one.
    async::stop_source stop;
    const async::stop_callback on_close{stop_, [&stop](errc why) { stop.request(why); }};
    auto ran = co_await wall_.run(std::move(spec), bounds, stop);
    const auto* const ended = ran ? std::get_if<process::exited>(&ran->status) : nullptr;
    // Who prints a warning, or fails, is to do so in each job.
    if (ended == nullptr || ended->code != 0 || !ran->err.empty() || ran->truncated || stop.requested() ||
        toolchain != toolchain_)
        co_return;
    keep(key, std::make_shared<const std::string>(std::move(ran->out)));
}

asio::awaitable<void> answers::serve(asio::local::stream_protocol::socket& socket, const ground& where)
{
    const auto token = asio::as_tuple(asio::use_awaitable);
    for (int count = 0; count < most_questions; ++count) {
        protocol::ask told{};
        const auto [no_head, head_bytes] = co_await asio::async_read(socket, asio::buffer(&told, sizeof told), token);
        if (no_head || told.arguments_bytes > protocol::most_ask_arguments ||
            told.input_bytes > protocol::most_ask_input ||
            (told.which != protocol::script::compiler && told.which != protocol::script::optimizer))
            co_return;
        std::string words(told.arguments_bytes, '\0');
        question what{.which = told.which, .args = {}, .input = std::string(told.input_bytes, '\0')};
        const std::array<asio::mutable_buffer, 2> into{asio::buffer(words), asio::buffer(what.input)};
        const auto [no_body, body_bytes] = co_await asio::async_read(socket, into, token);
        if (no_body) co_return;
        what.args = split(words);
        // Held here while the job takes its time to read.
        const auto text = find(what, where);
        const protocol::answer said{.known = text ? 1u : 0u,
                                    .bytes = text ? static_cast<std::uint32_t>(text->size()) : 0u};
        const std::array<asio::const_buffer, 2> from{asio::buffer(&said, sizeof said),
                                                     text ? asio::buffer(*text) : asio::const_buffer{}};
        const auto [unsent, sent_bytes] = co_await asio::async_write(socket, from, token);
        if (unsent) co_return;
        if (!text) continue;
        char word = 0;
        const auto [lost, word_bytes] = co_await asio::async_read(socket, asio::buffer(&word, 1), token);
        const bool is_taken = !lost && word == protocol::taken;
        (is_taken ? hits_ : unused_).add();
        if (!is_taken) co_return;
    }
}

}  // namespace sandboxd::toolchain
