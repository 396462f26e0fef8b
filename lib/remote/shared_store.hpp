// The artifact store that machines have in common: an HTTP cache with Bazel's protocol. Reads through it and writes
// behind it.
//
//     GET, HEAD, PUT  <url>/ac/<place of the entry>      the signed document (entry_document.hpp)
//     GET, HEAD, PUT  <url>/cas/<SHA-256 of the bytes>   an artifact, or an entry's record
//
// What is read is checked before it enters the store of this machine: the document's signature, then of each blob every
// byte. Whatever the cache does, the worst that comes of it is a compile; no caller waits longer than `timeout`, and
// after some failures in a row nobody is asked for a while.
//
// A fetch may go on when its callers have left: the next one finds what it has brought. A failure is an answer that
// does not begin within `timeout`, or comes slower than `least_rate`; that connections are in use is none, whoever
// waits for one.
//
// What is written waits in a queue, as ids: the bytes are in the store of this machine. A queue that is full, an entry
// that is gone, a cache that takes nothing: the entry is not shared, and is counted.
#pragma once

#include "artifacts/collect.hpp"
#include "artifacts/elsewhere.hpp"
#include "artifacts/store.hpp"
#include "async/event.hpp"
#include "async/task_group.hpp"
#include "base/client_key.hpp"
#include "base/errc.hpp"
#include "base/metrics.hpp"
#include "remote/breaker.hpp"
#include "remote/client.hpp"
#include "remote/entry_document.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

namespace sandboxd::remote {

struct shared_store_settings {
    client_settings client;                   // of store.remote
    signing_key key;                          // store.signingKeyFile
    std::chrono::milliseconds timeout{2000};  // store.remoteTimeoutMs
    std::uint64_t least_rate{256u << 10};     // store.remoteMinKBPerSec: bytes a second of what comes
    std::size_t fetches{64};                  // store.maxRemoteFetches
    std::size_t fetches_per_client{16};       // store.maxRemoteFetchesPerClient
    std::uint64_t fetch_bytes{512u << 20};    // store.maxRemoteFetchMB: of all fetches under way
    std::size_t queued{1024};                 // store.maxRemoteQueued
    std::uint64_t queue_bytes{512u << 20};    // store.maxRemoteQueueMB
    std::chrono::seconds write_timeout{30};   // store.remoteWriteTimeoutSecs: for one blob
    unsigned write_attempts{4};               // store.remoteWriteAttempts
    unsigned failures{5};                     // store.remoteFailures: in a row
    std::chrono::seconds pause{10};           // store.remotePauseSecs: after them
    artifacts::collect_caps caps;             // as for what a job leaves
};

class shared_store final : public artifacts::elsewhere {
public:
    // `tls`: see client. `local` is the store of this machine.
    shared_store(boost::asio::any_io_executor executor, async::task_group& tasks, shared_store_settings how,
                 std::shared_ptr<boost::asio::ssl::context> tls, artifacts::store& local, metrics::registry& metrics);

    // Those who ask for the same entry share a fetch, which counts for the first of them.
    boost::asio::awaitable<found> fetch(std::string id, client_key client) override;
    void share(const std::string& id) override;
    boost::asio::awaitable<bool> settled(std::string id, std::chrono::steady_clock::duration patience) override;

    // Ends what is under way; what waits to be written is forgotten.
    void close();

    // What does not work, without where and why: those are in the log, since whoever reaches /readyz reads this. Empty:
    // all works.
    std::string trouble() const;

private:
    using clock = std::chrono::steady_clock;

    struct flight {
        flight(const boost::asio::any_io_executor& executor, const client_key& who) : client{who}, ended{executor} {}
        client_key client;
        async::event ended;
        found outcome{found::unknown};
    };
    struct download;
    struct downloads;
    struct pending {
        std::string id;
        std::uint64_t bytes{0};
        bool replace{false};                   // what the cache has of it is wrong
        std::shared_ptr<async::event> left{};  // the queue, in any way
    };
    enum class written { done, gone, refused, later };

    boost::asio::awaitable<void> fly(std::string id, std::shared_ptr<flight> mine);
    boost::asio::awaitable<found> bring(std::string id, clock::time_point began);
    boost::asio::awaitable<void> load(std::shared_ptr<downloads> all, std::size_t index);
    boost::asio::awaitable<found> take_in(std::string id, std::shared_ptr<downloads> all);
    bool may_ask();
    found failed(const std::string& id, const error& why);
    found missed(clock::time_point began);
    found refused(const std::string& id, std::string_view what, const std::string& why);

    boost::asio::awaitable<void> write_behind();
    boost::asio::awaitable<written> write(const pending& one);
    boost::asio::awaitable<written> put(std::string target, std::uint64_t bytes,
                                        std::function<std::int64_t(std::span<char>, std::uint64_t)> read, bool replace);
    // What became of a call that was to write; `taken`: it worked.
    written written_by(const result<reply>& said, bool taken);
    void not_written(std::string why);
    // Whether that is how it is now: something waits to be written still, or it was so a moment ago.
    bool takes_nothing() const;

    boost::asio::any_io_executor executor_;
    async::task_group& tasks_;
    shared_store_settings settings_;
    client client_;
    artifacts::store& local_;
    breaker reads_;
    // Of wrong entries. Each counts once, so that nobody closes the cache by asking for one again and again; only a
    // right one ends the row, since a liar may also say that it has nothing.
    breaker lies_;
    clock::time_point lies_since_{};
    breaker writes_;
    async::event closing_;

    std::map<std::string, std::shared_ptr<flight>, std::less<>> flights_;  // by id
    std::uint64_t coming_bytes_{0};             // of all fetches under way, as their documents have it
    std::set<std::string, std::less<>> wrong_;  // ids whose entry in the cache is wrong
    std::string write_trouble_;                 // why the last write failed; empty: it did not
    clock::time_point not_written_at_{};

    std::deque<pending> queue_;
    std::uint64_t queued_bytes_{0};
    bool writing_{false};

    struct metrics_of_reads {
        metrics::counter& hit;
        metrics::counter& miss;
        metrics::counter& refused;
        metrics::counter& failed;
        metrics::counter& skipped;
        metrics::counter& crowded;
        metrics::histogram& seconds;
    } read_;
    struct metrics_of_writes {
        metrics::counter& done;
        metrics::counter& failed;
        metrics::counter& dropped;
        metrics::counter& gone;
    } wrote_;
    metrics::registry& metrics_;
};

}  // namespace sandboxd::remote
