// Known answers of emcc's pure steps: compiler.js and acorn-optimizer.js are functions of their arguments, their one
// input and the toolchain, and Node.js takes most of a small compile to compute them again.
//
// A job asks with the question whole, and gets the answer to that question alone. What it is given was never made by a
// job: the server makes it, in a jail of its own in which there is nothing but the toolchain and the question, when it
// has been asked twice. So a question can spoil no answer but its own, and nobody learns what others have asked.
#pragma once

#include "async/stop.hpp"
#include "async/task_group.hpp"
#include "base/metrics.hpp"
#include "jail/jail.hpp"
#include "toolchain/tool_protocol.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include <chrono>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::toolchain {

struct question {
    protocol::script which;
    std::vector<std::string> args;  // behind the name of the input
    std::string input;
};

// What belongs to the question without being said: the toolchain, and the jail to ask it in.
struct ground {
    std::vector<std::string> node;  // absolute, and its options
    std::string directory;          // emscripten's
    jail::spec base;                // what a job sees, without what is a job's own
};

struct answers_settings {
    std::uint64_t bytes{16u << 20};  // compile.warmAnswersMB: answers, and what is kept of the questions; 0: none
    std::chrono::seconds age{std::chrono::hours{24}};
};

class answers {
public:
    answers(async::task_group& tasks, jail::jail& wall, answers_settings how, metrics::registry& metrics);

    // Null: not known yet.
    std::shared_ptr<const std::string> find(const question& what, const ground& where);

    // Reads questions from a job and answers them until it has no more, says something else, or `socket` is closed.
    boost::asio::awaitable<void> serve(boost::asio::local::stream_protocol::socket& socket, const ground& where);

    // Forgets all: the toolchain is another one.
    void clear();
    // The same, and makes no more.
    void close();

    std::uint64_t bytes() const noexcept { return bytes_; }

private:
    struct entry {
        std::shared_ptr<const std::string> text;  // null: it was asked once
        std::chrono::steady_clock::time_point used;
        std::list<std::string>::iterator place;
    };

    struct wanted {
        std::string key;
        question what;
        ground where;
    };

    boost::asio::awaitable<void> make_all();
    boost::asio::awaitable<void> make(wanted one);
    void keep(const std::string& key, std::shared_ptr<const std::string> text);
    void forget_oldest();
    void forget_what_is_old();

    async::task_group& tasks_;
    jail::jail& wall_;
    answers_settings settings_;
    std::map<std::string, entry, std::less<>> known_;  // by digest
    std::list<std::string> order_;                     // the one that was used last comes first
    std::uint64_t bytes_{0};
    std::uint64_t toolchain_{0};  // counts clear()
    std::deque<wanted> wanted_;   // the first is being made
    async::stop_source stop_;
    metrics::counter& hits_;  // that reached emcc
    metrics::counter& misses_;
    metrics::counter& unused_;  // known, but the job could not put it where emcc looks
};

}  // namespace sandboxd::toolchain
