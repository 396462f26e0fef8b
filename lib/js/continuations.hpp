// Runs that wait for the answers of their tools: no process, but the image of the interpreter's memory, by an id that
// nobody can guess.
//
// An id is its owner's: of another tenant it is as unknown as one that never was. Ids are used once; then they are
// remembered for as long as the run would have been kept, so that a second use can be told from a wrong id. Where there
// is no room for one more, the client who gives way (admission/client_shares.hpp) loses his oldest; if that is he who
// comes, he is refused.
#pragma once

#include "admission/client_shares.hpp"
#include "base/client_key.hpp"
#include "base/metrics.hpp"
#include "script/run.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd::js {

struct continuation_settings {
    std::size_t max_bytes{134'217'728};  // of all, with those that are being continued; 0: scripts have no tools
    std::size_t max_count{10'000};
    std::chrono::seconds ttl{86'400};
};

// A run that waits.
struct kept_run {
    client_key client{};
    std::string owner{};                         // the tenant; empty: nobody needs a key
    script::run_request run;                     // `resumed` without results: where it goes on
    std::vector<std::uint32_t> calls;            // those that it waits for, ascending
    std::vector<script::console_entry> console;  // so far
    bool console_truncated{false};

    // What it takes in memory, about.
    std::size_t bytes() const noexcept;
};

class continuations {
public:
    using clock = std::chrono::steady_clock;
    using run_ptr = std::shared_ptr<const kept_run>;

    continuations(continuation_settings settings, metrics::registry& counted,
                  std::function<clock::time_point()> now = clock::now);
    continuations(const continuations&) = delete;
    continuations& operator=(const continuations&) = delete;

    // Keeps a run; the id is 64 hexadecimal digits. Nullopt: there is no room.
    std::optional<std::string> put(kept_run run);
    // How the functions below name the id that this owner was given.
    static std::string named(const std::string& owner, const std::string& id)
    {
        return owner.empty() ? id : owner + '\n' + id;
    }

    enum class state : std::uint8_t { kept, used, unknown };
    struct found {
        state is{state::unknown};
        run_ptr run;  // kept only
    };
    // Unknown is also what has expired.
    found find(std::string_view id);

    // Its run goes on: it is counted as long as this lives. Unless `keep` is said, the id is used from now on.
    class lease {
    public:
        explicit lease(continuations& from, std::size_t bytes) : from_{&from}, bytes_{bytes} { from.leased_ += bytes; }
        lease(lease&& other) noexcept : from_{other.from_}, bytes_{std::exchange(other.bytes_, 0)} {}
        lease(const lease&) = delete;
        lease& operator=(const lease&) = delete;
        lease& operator=(lease&&) = delete;
        ~lease() { from_->leased_ -= bytes_; }

    private:
        continuations* from_;
        std::size_t bytes_;
    };
    // Of an id that find() has just found. Nullopt: too many go on at the same time.
    std::optional<lease> use(std::string_view id, bool keep);
    // The run did not go on after all, for no fault of its own: the id can be used again.
    void give_back(std::string_view id, run_ptr run);

    // Forgets what has expired; cheap enough for the loop, since what was kept first expires first.
    std::size_t sweep();
    void clear();

    const continuation_settings& settings() const noexcept { return settings_; }
    std::size_t size() const noexcept { return by_id_.size(); }
    std::size_t bytes() const noexcept { return shares_.all().bytes; }

private:
    struct entry {
        std::string id;
        run_ptr run;
        std::size_t bytes{0};
        clock::time_point expires;
    };
    struct used_id {
        std::string id;
        clock::time_point expires;
    };
    using place = std::list<entry>::iterator;

    bool keep(std::string id, run_ptr run, clock::time_point expires);
    void erase(place which);
    void forget_used(std::list<used_id>::iterator which);
    std::size_t drop_expired();

    continuation_settings settings_;
    std::function<clock::time_point()> now_;
    std::list<entry> kept_;  // the oldest first
    std::map<std::string, place, std::less<>> by_id_;
    admission::client_shares shares_;
    std::list<used_id> used_;  // the oldest first
    std::map<std::string, std::list<used_id>::iterator, std::less<>> used_by_id_;
    std::size_t leased_{0};
    metrics::counter& suspended_;
    metrics::counter& refused_;
    metrics::counter& displaced_;
    metrics::counter& expired_;
};

}  // namespace sandboxd::js
