// Known answers of emcc's pure steps, which are functions of their arguments, their one input and the toolchain:
// compiler.js and acorn-optimizer.js (or .mjs), for whose start Node.js takes most of a small compile, and clang's
// reading of the system headers that a C++ source begins with (toolchain/preamble.hpp).
//
// A job asks with the question whole, and gets the answer to that question alone. What it is given was never made by a
// job: the server makes it, in a jail of its own in which there is nothing but the toolchain and the question, when it
// has been asked twice. So a question can spoil no answer but its own, and nobody learns what others have asked.
#pragma once

#include "async/stop.hpp"
#include "async/task_group.hpp"
#include "base/metrics.hpp"
#include "base/unique_fd.hpp"
#include "jail/jail.hpp"
#include "toolchain/known_store.hpp"
#include "toolchain/remembered.hpp"
#include "toolchain/tool_protocol.hpp"
#include "toolchain/wanted_list.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd::toolchain {

struct question {
    protocol::topic which;
    // Behind the name of the input; for a preamble, without the program, the source and the output.
    std::vector<std::string> args;
    std::string input;
};

// What belongs to the question without being said: the toolchain, and the jail to ask it in.
struct ground {
    std::vector<std::string> node;  // absolute, and its options
    std::string directory;          // emscripten's
    std::string clang;              // absolute; empty: no preamble is known
    jail::spec base;                // what a job sees, without what is a job's own; and whose job it is
};

using step_times = std::vector<std::pair<std::string_view, std::chrono::microseconds>>;

struct answers_settings {
    // compile.warmAnswersMB: answers in text, and what is kept of the questions; 0: none
    std::uint64_t bytes{16u << 20};
    // compile.warmPreamblesMB: precompiled preambles; 0: none
    std::uint64_t preamble_bytes{128u << 20};
    std::chrono::seconds age{std::chrono::hours{24}};
    std::string preambles_file{};  // where the most used preambles are noted; empty: nowhere
};

class answers {
public:
    answers(boost::asio::any_io_executor executor, async::task_group& tasks, jail::jail& wall, answers_settings how,
            metrics::registry& metrics);

    // Reads questions from a job and answers them until it has no more, says something else, or `socket` is closed.
    // Returns how long its steps took, those that took any time, as far as it has said that.
    boost::asio::awaitable<step_times> serve(boost::asio::local::stream_protocol::socket& socket, const ground& where);

    // Makes the preambles again that were used most before the server was started, once for a toolchain.
    void recall(const ground& where);

    // Jobs are at work: what takes long to make waits a while for their end.
    void job_begins() noexcept { ++jobs_; }
    void job_ends() noexcept { --jobs_; }

    // Forgets all: the toolchain is another one.
    void clear();
    // The same, and makes no more. What was used is noted.
    void close();

private:
    struct task {
        question what;
        ground where;
    };
    struct wanted {
        std::string key;
        question what;
        ground where;
    };

    struct counters {
        metrics::counter& known;  // and taken
        metrics::counter& unknown;
        metrics::counter& unused;  // known, but the job could make nothing of it
    };

    template <class Value>
    std::shared_ptr<const Value> find(known_store<Value>& in, counters& of, const question& what, const ground& where);
    struct use_of_answer {
        bool is_taken;
        bool goes_on;  // the job goes on asking
    };
    // Whether the job goes on asking.
    boost::asio::awaitable<bool> answer_text(boost::asio::local::stream_protocol::socket& socket, question what,
                                             const ground& where);
    boost::asio::awaitable<bool> answer_preamble(boost::asio::local::stream_protocol::socket& socket, question what,
                                                 const ground& where);
    boost::asio::awaitable<use_of_answer> wait_for_use(boost::asio::local::stream_protocol::socket& socket,
                                                       counters& of);

    void note();
    void want(std::string key, const question& what, const ground& where);
    void make();
    boost::asio::awaitable<void> make_all();
    boost::asio::awaitable<void> make_wanted_preamble(wanted one);
    boost::asio::awaitable<void> make_recalled();
    boost::asio::awaitable<void> make_text(wanted one);
    boost::asio::awaitable<void> make_preamble(wanted one);
    boost::asio::awaitable<void> wait_for_idleness();
    // Runs it to a good end, with nothing on standard error. Errors: `unprocessable` for what would
    // end otherwise each time; others for what may be better another time.
    boost::asio::awaitable<result<process::outcome>> run(jail::spec spec, std::chrono::milliseconds bound);

    boost::asio::any_io_executor executor_;
    async::task_group& tasks_;
    jail::jail& wall_;
    known_store<std::string> texts_;
    known_store<unique_fd> preambles_;  // sealed files in memory
    int jobs_{0};
    std::uint64_t toolchain_{0};  // counts clear()
    wanted_list<task> wanted_;
    std::deque<wanted> recalled_;  // the same, where no job waits for it
    bool makes_{false};
    bool has_recalled_{false};
    remembered used_;
    std::string preambles_file_;
    async::stop_source stop_;
    counters of_texts_;
    counters of_preambles_;
    metrics::counter& crowded_out_;
};

}  // namespace sandboxd::toolchain
