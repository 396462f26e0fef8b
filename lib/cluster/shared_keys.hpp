// The keys that servers share, made on one of them while they run.
//
//     <prefix>keys           a hash: of each key's digest (SHA-256, 64 hex digits) what tenants::to_text() says, signed
//                            with the fleet's key for this digest
//     <prefix>key-names      a hash: of each name the digest of its key
//     <prefix>keys-version   a random text, another one after each change
//
// Each server asks for the version again and again, and reads all keys when it is another one. It is no number: of a
// Redis that has forgotten everything, and has begun anew meanwhile, nobody takes the old count for the new one.
//
// Whoever can write to Redis cannot make a key, nor change one. He can take keys away, and bring back a deleted one by
// writing its former entry. Of two keys of one name the younger one counts, by the clocks of the servers that made
// them.
#pragma once

#include "async/event.hpp"
#include "async/mutex.hpp"
#include "async/task_group.hpp"
#include "base/metrics.hpp"
#include "base/seldom.hpp"
#include "cluster/redis_client.hpp"
#include "remote/entry_document.hpp"
#include "tenants/fleet_keys.hpp"
#include "tenants/key_table.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::cluster {

struct shared_keys_settings {
    std::string prefix{"sandboxd:"};        // cluster.keyPrefix
    std::chrono::milliseconds poll{1'000};  // cluster.keysPollMs: between two looks at the version
    std::size_t most{1'000};                // auth.maxKeys: of the file and in Redis together
};

class shared_keys final : public tenants::fleet_keys {
public:
    // Tells `table` which keys there are, and until then that there are some.
    shared_keys(boost::asio::any_io_executor executor, async::task_group& tasks, redis_client& redis,
                remote::signing_key key, shared_keys_settings how, tenants::key_table& table,
                metrics::registry& metrics);

    // Looks from now on. While Redis is away, the keys that are known stay valid.
    void start();
    void close() { closing_.set(); }

    boost::asio::awaitable<result<void>> make(tenants::fleet_key key) override;
    boost::asio::awaitable<result<std::string>> forget(sha256_digest digest) override;

    // Looks once. Errors: those of redis_client, upstream_failed.
    boost::asio::awaitable<result<void>> look();

    // Until the next look. Short while Redis was never reached, since meanwhile the fleet's keys are not known; what it
    // refuses it will refuse again.
    std::chrono::milliseconds pause_after(const result<void>& looked) const;

private:
    boost::asio::awaitable<void> watch();
    boost::asio::awaitable<result<std::vector<tenants::fleet_key>>> read_all();
    boost::asio::awaitable<result<std::string>> name_of(const sha256_digest& digest);
    // Out of Redis, with its name.
    boost::asio::awaitable<result<void>> take_out(const sha256_digest& digest, const std::string& its_name);
    // Nullopt: no server of this fleet has written it.
    std::optional<tenants::fleet_key> read(std::string_view digest, std::string_view text);
    // What was there before this server's change; after it there is `now`.
    void note_version(const std::string& before, std::string now);
    std::size_t room() const noexcept;
    void count(std::string_view what, std::string_view came_of_it);

    std::string all_keys() const { return settings_.prefix + "keys"; }
    std::string all_names() const { return settings_.prefix + "key-names"; }
    std::string version_key() const { return settings_.prefix + "keys-version"; }

    async::task_group& tasks_;
    redis_client& redis_;
    remote::signing_key key_;
    shared_keys_settings settings_;
    tenants::key_table& table_;
    metrics::registry& metrics_;
    async::event closing_;
    async::mutex turn_;                // what is read must not undo what is made or forgotten meanwhile
    std::optional<std::string> seen_;  // the version that the table has; nullopt: nothing was read yet
    seldom warns_of_keys_;
    seldom warns_of_many_;
};

}  // namespace sandboxd::cluster
