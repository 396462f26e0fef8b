// Answers that are kept for requests with an Idempotency-Key, so that the same request again has the same answer
// without a second run (draft-ietf-httpapi-idempotency-key-header-07).
//
// A key is one of its client's: others cannot read the answer, nor learn that there is one. All is bounded: keys, keys
// of one client, bytes of answers, time. Where a key is one too many, the oldest answer of the client that gives way
// (admission/client_shares.hpp) is forgotten; keys whose request is under way stay.
#pragma once

#include "admission/client_shares.hpp"
#include "base/client_key.hpp"
#include "base/digest.hpp"
#include "base/metrics.hpp"
#include "http/message.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace sandboxd::jobs {

struct answer_store_settings {
    std::chrono::seconds ttl{3600};            // idempotency.ttlSecs
    std::size_t max_keys{1024};                // idempotency.maxKeys
    std::size_t max_keys_per_client{256};      // idempotency.maxKeysPerClient
    std::size_t max_bytes{32u * 1024 * 1024};  // idempotency.maxAnswersMB
};

class answer_store {
    struct entry;
    using entries = std::list<std::shared_ptr<entry>>;

public:
    using clock = std::chrono::steady_clock;

    enum class state : std::uint8_t {
        fresh,          // nobody has sent this key; it is the caller's now
        kept,           // here is the answer
        not_kept,       // it was answered, and the answer was too large to be kept
        under_way,      // the first request with this key is not answered yet
        other_request,  // this key was sent with another request
        full,           // there is no room, because so many requests are under way
    };

    // The right to answer a fresh key. Without an answer, the key is forgotten when this goes.
    class claim {
    public:
        claim(answer_store& of, std::shared_ptr<entry> mine) noexcept : of_{&of}, mine_{std::move(mine)} {}
        claim(claim&& other) noexcept = default;
        claim& operator=(claim&&) = delete;
        ~claim();

        // An answer of text; one that is too large is only remembered as given.
        void keep(http::response answer);
        // The largest that is kept, in bytes.
        std::size_t most() const noexcept { return of_->most_of_one(); }

    private:
        answer_store* of_;
        std::shared_ptr<entry> mine_;
    };

    struct found {
        state what{state::fresh};
        http::response answer{};      // where it is kept
        std::optional<claim> mine{};  // where it is fresh
    };

    answer_store(answer_store_settings how, metrics::registry& metrics);

    // `scope` is of the client and the key, `request` of all that makes two requests the same one.
    found find(const client_key& client, const sha256_digest& scope, const sha256_digest& request,
               clock::time_point now = clock::now());

    // Forgets what is older than the TTL.
    void sweep(clock::time_point now = clock::now());

    std::size_t size() const noexcept { return by_scope_.size(); }
    std::size_t bytes() const noexcept { return shares_.all().bytes; }

private:
    struct entry {
        client_key client;
        sha256_digest scope;
        sha256_digest request;
        clock::time_point since;
        bool under_way{true};
        std::optional<http::response> answer{};
        std::size_t bytes{0};
        entries::iterator of_client{};
        entries::iterator of_all{};
    };

    std::size_t most_of_one() const noexcept { return settings_.max_bytes / 8; }
    void forget(const std::shared_ptr<entry>& which);
    // The oldest answer of this list; null: all are under way.
    static std::shared_ptr<entry> oldest(const entries& of);
    // Forgets one key so that there is room for one of this client. False when there is none to forget.
    bool make_room(const client_key& client);
    // The oldest answer of who gives way so that this client can have more.
    std::shared_ptr<entry> gives_way(const client_key& client, admission::client_shares::share more) const;

    answer_store_settings settings_;
    std::map<sha256_digest, std::shared_ptr<entry>> by_scope_;
    std::map<client_key, entries> by_client_;  // the oldest first
    entries all_;                              // the oldest first
    admission::client_shares shares_;
    metrics::counter& repeated_;
    metrics::counter& reused_;
    metrics::counter& conflicts_;
    metrics::counter& refused_;
    metrics::counter& evicted_;
};

}  // namespace sandboxd::jobs
