// The keys that count now. They come from a file, which may be replaced while the server runs; a file that cannot be
// used changes nothing, so that a slip of the operator locks nobody out and lets nobody in. Where servers share keys
// (fleet_keys.hpp), theirs count besides, except those with a name or a digest of the file: the operator's file
// decides.
#pragma once

#include "base/digest.hpp"
#include "base/errc.hpp"
#include "base/metrics.hpp"
#include "base/seldom.hpp"
#include "tenants/account.hpp"
#include "tenants/bearer.hpp"
#include "tenants/fleet_key.hpp"
#include "tenants/key_entry.hpp"
#include "tenants/keys_file.hpp"
#include "tenants/tenant.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
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

enum class key_source : std::uint8_t { file, fleet };
// As lists and metrics have it: "file", "redis".
std::string_view name(key_source from) noexcept;

struct listed_key {
    key_entry what;
    key_source from{};
    std::optional<std::chrono::system_clock::time_point> created{};  // of the fleet's
    std::string by{};                                                // of the fleet's: the name of who has made it
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

    // There are keys of a fleet, which take_fleet() will tell. Until it does, a key that is not known may be one of
    // them.
    void expect_fleet() noexcept { are_fleet_keys_known_ = false; }
    bool are_fleet_keys_known() const noexcept { return are_fleet_keys_known_; }

    // The fleet's keys: all of them, in place of those that were known; one more, in place of one of its name; one
    // fewer. Those of the file stay.
    void take_fleet(std::vector<fleet_key> keys);
    void add_fleet(fleet_key key);
    void remove_fleet(const sha256_digest& digest);

    // Whose key this is; null: nobody's. The time depends on the number of keys alone.
    std::shared_ptr<const tenant> find(std::string_view key) const noexcept;
    // Whether it is a key, or was one since the start (as far as there is room to remember): such a text is not to be
    // passed on to anybody.
    bool knows(std::string_view key) const noexcept;
    // Whether a field has such a text, as it is or in Basic's encoding (RFC 7617). Until the fleet's keys are known,
    // every field may have one.
    bool knows_any_in(std::string_view field) const;
    // Whether the key that `who` came with counts still, is still his, and may still be used for that.
    bool still_has(const tenant& who, scope needed) const noexcept;

    // Why the file cannot be used now; empty: it can.
    const std::string& failure() const noexcept { return failure_; }
    std::size_t size() const noexcept { return digests_.size(); }
    std::size_t size(key_source from) const noexcept;

    // Those that count, the file's first.
    std::vector<listed_key> list() const;
    // The key with this digest, also one of the fleet that the file shuts out. Nullopt: there is none.
    std::optional<listed_key> look_up(const sha256_digest& digest) const;
    // Whether the file has a key of this name.
    bool is_of_file(std::string_view name) const noexcept { return names_of_file_.contains(name); }

    void count(refusal_of_key why) const noexcept { refused_[static_cast<std::size_t>(why)]->add(); }

private:
    struct change {
        std::size_t added{0};
        std::size_t removed{0};
    };

    void take(std::vector<key_entry> keys);
    change count_anew();
    bool is_shut_out(const key_entry& of_fleet) const;
    void tell(const change& what, key_source from) const;
    std::shared_ptr<account> account_of(const std::string& name);
    void forget_accounts();
    std::shared_ptr<meters> meters_of(const std::string& name);

    key_table_settings settings_;
    metrics::registry& metrics_;
    std::vector<key_entry> of_file_;
    std::set<std::string, std::less<>> names_of_file_;
    std::set<sha256_digest> digests_of_file_;
    std::vector<fleet_key> of_fleet_;  // also those that the file shuts out
    bool are_fleet_keys_known_{true};
    // Of all that count, side by side, those of the file first.
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
    seldom warns_of_shut_out_;
};

}  // namespace sandboxd::tenants
