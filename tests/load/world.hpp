// What the clients of a load test share: which fault is on, the books about every request and
// artifact, and the turnstile at which all of them can be made to stand still.
#pragma once

#include <boost/json/object.hpp>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::test {

using random_source = std::mt19937_64;

inline std::uint64_t pick(random_source& random, std::uint64_t below)
{
    return std::uniform_int_distribution<std::uint64_t>{0, below - 1}(random);
}

// A fault, and what it may do to answers: these `code`s, beside what would have been answered
// without it.
struct fault {
    std::string_view name;
    std::vector<std::string_view> compile_codes{};
    std::vector<std::string_view> download_codes{};
    bool cuts{false};  // it breaks connections: requests under way stay without an answer
};

// Clients stand still before a fault is declared over, so an answer that is read while none is on
// belongs to a request that began after the last.
class weather {
public:
    const fault* now() const noexcept { return now_; }
    void begin(const fault& which) noexcept
    {
        effects_ = 0;
        now_ = &which;
    }
    void end() noexcept { now_ = nullptr; }

    // Answers that only the fault excuses.
    void had_effect() noexcept { ++effects_; }
    unsigned effects() const noexcept { return effects_; }

private:
    std::atomic<const fault*> now_{nullptr};
    std::atomic<unsigned> effects_{0};
};

// Clients pass it between two actions.
class turnstile {
public:
    // Waits while it is closed, after `before_waiting`. False when it is over.
    bool enter(const std::function<void()>& before_waiting);
    void leave();

    // Returns when nobody is inside.
    void close();
    void open();
    void finish();

private:
    std::mutex guard_;
    std::condition_variable changed_;
    unsigned inside_{0};
    bool closed_{false};
    bool over_{false};
};

struct artifact {
    std::string url;
    std::uint64_t bytes{};
    std::string sha256;
};

struct publication {
    boost::json::object request;
    std::string id;
    std::vector<artifact> files;
};

class books {
public:
    std::atomic<std::uint64_t> sent{0};  // whole requests, whose answer is waited for
    std::atomic<std::uint64_t> answered{0};
    std::atomic<std::uint64_t> cut{0};        // unanswered because the server was killed
    std::atomic<std::uint64_t> abandoned{0};  // given up on purpose by the client, at whatever point
    std::atomic<std::uint64_t> waiting{0};    // clients that wait for an answer now
    std::atomic<std::uint64_t> compiles{0};   // answered with artifacts
    std::atomic<std::uint64_t> downloads{0};
    std::atomic<std::uint64_t> hash_errors{0};

    // Something that must not be. The first ones are printed as they come.
    void violation(const std::string& what);
    std::uint64_t violations() const noexcept { return violations_; }

    // An answer with artifacts. The same id must always come with the same ones.
    void publish(publication what);
    std::optional<artifact> any(random_source& random) const;
    std::vector<artifact> all() const;
    // What was published since the last call, up to a few.
    std::vector<publication> take_recent();

    // How often each status and code was answered.
    void count(unsigned status, const std::string& code);
    std::string tally() const;

private:
    mutable std::mutex guard_;
    std::map<std::string, std::vector<artifact>> known_;  // by id
    std::vector<artifact> artifacts_;
    std::vector<publication> recent_;
    std::map<std::string, std::uint64_t> tally_;
    std::atomic<std::uint64_t> violations_{0};
};

struct world {
    weather sky;
    turnstile gate;
    books ledger;
    std::atomic<std::uint16_t> port{0};  // 0: the server is down
    std::uint64_t seed{0};
};

}  // namespace sandboxd::test
