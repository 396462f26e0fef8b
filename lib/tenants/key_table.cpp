#include "tenants/key_table.hpp"

#include "base/log.hpp"

#include <nettle/memops.h>

#include <set>
#include <utility>

namespace sandboxd::tenants {

namespace {

constexpr std::string_view help_reloads = "Times that the keys file was read again, by result.";
// More names would be more series than a metrics server is meant for.
constexpr std::size_t most_named = 64;
constexpr std::string_view name_of_others = "other";

bool is_same(const sha256_digest& a, const sha256_digest& b) noexcept
{
    return ::nettle_memeql_sec(a.data(), b.data(), a.size()) != 0;
}

}  // namespace

key_table::key_table(key_table_settings from, metrics::registry& metrics)
    : settings_{std::move(from)},
      metrics_{metrics},
      reloaded_{metrics.add_counter("sandboxd_auth_reloads_total", help_reloads, "result=\"ok\"")},
      failed_{metrics.add_counter("sandboxd_auth_reloads_total", help_reloads, "result=\"failed\"")}
{
    for (std::size_t i = 0; i < refusals_of_keys; ++i) {
        const auto why = static_cast<refusal_of_key>(i);
        refused_[i] = &metrics.add_counter("sandboxd_auth_refused_total", "Requests refused for their key, by reason.",
                                           "reason=\"" + std::string{name(why)} + "\"");
    }
    metrics.add_gauge("sandboxd_auth_keys", "Keys that count now.", [this] { return static_cast<double>(size()); });
}

result<void> key_table::load()
{
    seen_ = stamp_of(settings_.file);
    auto keys = load_keys(settings_.file, settings_.limits);
    if (!keys) return keys.error();
    take(*keys);
    return {};
}

void key_table::reload()
{
    // What changes while it is read has another stamp the next time.
    seen_ = stamp_of(settings_.file);
    const auto keys = load_keys(settings_.file, settings_.limits);
    if (!keys) {
        // It is looked at again and again then; the log has it once.
        if (failure_ == keys.error().message) return;
        failed_.add();
        failure_ = keys.error().message;
        log::error("the keys file cannot be used; the former keys stay valid",
                   {{"key", "auth.keysFile"}, {"cause", failure_}});
        return;
    }
    reloaded_.add();
    failure_.clear();
    take(*keys);
}

void key_table::look()
{
    if (!failure_.empty() || stamp_of(settings_.file) != seen_) reload();
}

void key_table::take(const std::vector<key_entry>& keys)
{
    std::vector<sha256_digest> digests;
    std::vector<std::shared_ptr<const tenant>> tenants;
    for (const auto& one : keys) {
        digests.push_back(one.digest);
        auto his = account_of(one.name);
        his->set_limits(one.limits);
        tenants.push_back(std::make_shared<const tenant>(tenant{.name = one.name,
                                                                .client = client_of_tenant(one.name),
                                                                .digest = one.digest,
                                                                .scopes = one.scopes,
                                                                .account = std::move(his)}));
    }
    std::size_t removed = 0;
    const std::set<sha256_digest> now{digests.begin(), digests.end()};
    for (const auto& old : digests_) {
        if (now.contains(old)) continue;
        ++removed;
        former_.push_back(old);
        if (former_.size() > settings_.limits.max_keys) former_.pop_front();
    }
    const auto added = digests.size() - (digests_.size() - removed);
    known_ = now;
    known_.insert(former_.begin(), former_.end());
    digests_ = std::move(digests);
    tenants_ = std::move(tenants);
    forget_accounts();
    log::info("audit: keys loaded", {{"keys", digests_.size()}, {"added", added}, {"removed", removed}});
}

std::shared_ptr<account> key_table::account_of(const std::string& name)
{
    auto& known = accounts_[name];
    if (!known) known = std::make_shared<account>(meters_of(name));
    return known;
}

// Who is in the file no more may come back today, and has used then what he has used.
void key_table::forget_accounts()
{
    const auto now = std::chrono::system_clock::now();
    const bool too_many = accounts_.size() > 4 * settings_.limits.max_keys;
    std::erase_if(accounts_, [&](const auto& one) {
        return one.second.use_count() == 1 && (too_many || one.second->is_idle(now));
    });
}

std::shared_ptr<meters> key_table::meters_of(const std::string& name)
{
    if (const auto known = meters_.find(name); known != meters_.end()) return known->second;
    const bool is_named = name != name_of_others && meters_.size() < most_named;
    if (!is_named && others_) return others_;
    const auto labelled = is_named ? std::string_view{name} : name_of_others;
    auto made = std::make_shared<meters>(metrics_, "tenant=\"" + std::string{labelled} + "\"");
    if (is_named)
        meters_.emplace(name, made);
    else
        others_ = made;
    return made;
}

std::shared_ptr<const tenant> key_table::find(std::string_view key) const noexcept
{
    if (key.empty() || key.size() > longest_key) return nullptr;
    const auto digest = sha256_of(key);
    std::size_t found = digests_.size();
    for (std::size_t i = 0; i < digests_.size(); ++i)
        if (is_same(digests_[i], digest)) found = i;
    return found < tenants_.size() ? tenants_[found] : nullptr;
}

bool key_table::knows(std::string_view key) const noexcept
{
    if (key.empty() || key.size() > longest_key) return false;
    return known_.contains(sha256_of(key));
}

bool key_table::knows_any_in(std::string_view field) const
{
    const auto is_key = [this](std::string_view word) { return knows(word); };
    if (any_key_in(field, is_key)) return true;
    const auto pair = decode_basic(field);
    return pair && any_key_in(*pair, is_key);
}

bool key_table::still_has(const tenant& who, scope needed) const noexcept
{
    for (std::size_t i = 0; i < digests_.size(); ++i)
        if (is_same(digests_[i], who.digest)) return tenants_[i]->name == who.name && tenants_[i]->scopes.has(needed);
    return false;
}

}  // namespace sandboxd::tenants
