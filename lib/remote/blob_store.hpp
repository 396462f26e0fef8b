// Bytes under names, in the HTTP cache that machines share (store.remote): what servers have in common besides
// artifacts. Signed and checked as those are (entry_document.hpp), but written at once, and kept on no disk here.
//
//     GET, PUT  <url>/ac/<place of the name>      the signed document, which names one file, "bytes"
//     GET, PUT  <url>/cas/<SHA-256 of the bytes>  the bytes
//
// Nothing is ever removed from the cache. Whoever can write to it can withhold, or bring back what was written under
// the same name before; so a name is written once.
#pragma once

#include "async/task_group.hpp"
#include "base/client_key.hpp"
#include "base/errc.hpp"
#include "base/metrics.hpp"
#include "base/seldom.hpp"
#include "remote/breaker.hpp"
#include "remote/client.hpp"
#include "remote/entry_document.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace sandboxd::remote {

struct blob_store_settings {
    client_settings client;                    // of store.remote
    signing_key key;                           // store.signingKeyFile
    std::chrono::milliseconds timeout{2000};   // store.remoteTimeoutMs: to the head of an answer
    std::uint64_t least_rate{256u << 10};      // store.remoteMinKBPerSec: bytes a second, both ways
    std::size_t transfers{64};                 // store.maxRemoteFetches: under way, both ways together
    std::size_t transfers_per_client{16};      // store.maxRemoteFetchesPerClient: rooms, and such a part of the bytes
    std::uint64_t transfer_bytes{512u << 20};  // store.maxRemoteFetchMB: of all of them
    unsigned failures{5};                      // store.remoteFailures: in a row
    std::chrono::seconds pause{10};            // store.remotePauseSecs: after them
};

class blob_store {
public:
    // `tls`: see client.
    blob_store(boost::asio::any_io_executor executor, async::task_group& tasks, blob_store_settings how,
               std::shared_ptr<boost::asio::ssl::context> tls, metrics::registry& metrics);
    blob_store(const blob_store&) = delete;
    blob_store& operator=(const blob_store&) = delete;

    // Room for bytes that will be read into memory to be put here; it is given back with the object, which does not
    // outlive the store. A client has a share of all room, and one room at least: whoever sends small changes of
    // something large does not keep others from changing what is theirs. Errors: queue_full.
    using room = std::shared_ptr<const void>;
    result<room> make_room(const client_key& whose, std::uint64_t bytes);

    // `name` is no id of an artifact's entry, which has 32 digits. Returns when others can have the bytes. `has_room`:
    // the caller keeps a room for them. Errors: unavailable (the cache fails, or does not take them; the log says why),
    // queue_full, draining.
    boost::asio::awaitable<result<void>> put(std::string name, std::string bytes, bool has_room = false);

    // Errors: not_found (the cache has nothing that the fleet's key has signed for this name, or other bytes),
    // payload_too_large, and those of put().
    boost::asio::awaitable<result<std::string>> get(std::string name, std::uint64_t most_bytes);

    // Ends all calls, now and later, with `draining`.
    void close() { client_.close(); }

    const signing_key& key() const noexcept { return settings_.key; }

    // What does not work, without where and why: those are in the log, since whoever reaches /readyz reads this. Empty:
    // all works.
    std::string trouble() const;

private:
    using clock = std::chrono::steady_clock;
    class place;
    struct held_room;
    struct share {
        std::size_t rooms{0};
        std::uint64_t bytes{0};
    };

    bool fits(std::uint64_t bytes) const noexcept;
    call call_of(std::string_view method, std::string target, std::uint64_t bytes) const;
    using piece_taker = std::function<void(std::string_view)>;

    boost::asio::awaitable<result<void>> write(std::string name, std::string_view bytes, bool has_room);
    boost::asio::awaitable<result<void>> read(std::string name, std::uint64_t most_bytes, std::string& into);
    boost::asio::awaitable<result<void>> put_at(std::string target, std::string_view bytes);
    boost::asio::awaitable<result<bool>> get_at(std::string target, std::uint64_t most_bytes, piece_taker take);
    error refuse(std::string_view name, std::string_view why);
    error failed(const error& why);
    void count(std::string_view way, std::string_view what);

    blob_store_settings settings_;
    client client_;
    breaker calls_;
    std::size_t under_way_{0};
    std::uint64_t bytes_under_way_{0};    // with those that have room
    std::map<client_key, share> shares_;  // of those that have any
    metrics::registry& metrics_;
    seldom warns_of_wrong_;
    seldom warns_of_refused_;
};

}  // namespace sandboxd::remote
