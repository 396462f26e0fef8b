// The keys that count now. They come from a file, which may be replaced while the server runs; a file that cannot be
// used changes nothing, so that a slip of the operator locks nobody out and lets nobody in.
#pragma once

#include "base/digest.hpp"
#include "base/errc.hpp"
#include "base/metrics.hpp"
#include "tenants/account.hpp"
#include "tenants/bearer.hpp"
#include "tenants/keys_file.hpp"
#include "tenants/tenant.hpp"

#include <array>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::tenants {

struct key_table_settings {
    std::filesystem::path file;  // auth.keysFile, absolute
    keys_file_limits limits{};
};

class key_table {
public:
    key_table(key_table_settings from, metrics::registry& metrics);

    // For the start. Errors: those of load_keys.
    result<void> load();
    // Reads the file again. What is wrong with it is logged, and is `failure()` from then on.
    void reload();
    // The same, if the file has changed since it was read last, or could not be used then: a passing error would else
    // keep a key valid that was taken away.
    void look();

    // Whose key this is; null: nobody's. The time depends on the number of keys alone.
    std::shared_ptr<const tenant> find(std::string_view key) const noexcept;
    // Whether it is a key, or was one since the start (as far as there is room to remember): such a text is not to be
    // passed on to anybody.
    bool knows(std::string_view key) const noexcept;
    // Whether a field has such a text, as it is or in Basic's encoding (RFC 7617).
    bool knows_any_in(std::string_view field) const;
    // Whether the key that `who` came with counts still, is still his, and may still be used for that.
    bool still_has(const tenant& who, scope needed) const noexcept;

    // Why the file cannot be used now; empty: it can.
    const std::string& failure() const noexcept { return failure_; }
    std::size_t size() const noexcept { return digests_.size(); }

    void count(refusal_of_key why) const noexcept { refused_[static_cast<std::size_t>(why)]->add(); }

private:
    void take(const std::vector<key_entry>& keys);
    std::shared_ptr<account> account_of(const std::string& name);
    void forget_accounts();
    std::shared_ptr<meters> meters_of(const std::string& name);

    key_table_settings settings_;
    metrics::registry& metrics_;
    // Side by side.
    std::vector<sha256_digest> digests_;
    std::vector<std::shared_ptr<const tenant>> tenants_;
    std::deque<sha256_digest> former_;  // the oldest first
    // Both: who is asked often, for texts that anybody may send. Of a digest nobody can choose where it stands.
    std::set<sha256_digest> known_;
    std::optional<file_stamp> seen_;
    std::string failure_;
    // By name. Accounts stay what they are when the file changes.
    std::map<std::string, std::shared_ptr<account>> accounts_;
    std::map<std::string, std::shared_ptr<meters>> meters_;
    std::shared_ptr<meters> others_;  // of all that are not named in the metrics; null: there are none
    std::array<metrics::counter*, refusals_of_keys> refused_{};
    metrics::counter& reloaded_;
    metrics::counter& failed_;
};

}  // namespace sandboxd::tenants
