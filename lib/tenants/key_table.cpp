#include "tenants/key_table.hpp"

#include "base/log.hpp"

#include <nettle/memops.h>

#include <algorithm>
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

std::string_view name(key_source from) noexcept { return from == key_source::file ? "file" : "redis"; }

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
    for (const auto origin : {key_source::file, key_source::fleet})
        metrics.add_gauge(
            "sandboxd_auth_keys", "Keys that count now, by where they come from.",
            [this, origin] { return static_cast<double>(size(origin)); }, "from=\"" + std::string{name(origin)} + "\"");
}

result<void> key_table::load()
{
    seen_ = stamp_of(settings_.file);
    auto keys = load_keys(settings_.file, settings_.limits);
    if (!keys) return keys.error();
    take(std::move(*keys));
    return {};
}

void key_table::reload()
{
    // What changes while it is read has another stamp the next time.
    seen_ = stamp_of(settings_.file);
    auto keys = load_keys(settings_.file, settings_.limits);
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
    take(std::move(*keys));
}

void key_table::look()
{
    if (!failure_.empty() || stamp_of(settings_.file) != seen_) reload();
}

void key_table::take(std::vector<key_entry> keys)
{
    of_file_ = std::move(keys);
    names_of_file_.clear();
    digests_of_file_.clear();
    for (const auto& one : of_file_) {
        names_of_file_.insert(one.name);
        digests_of_file_.insert(one.digest);
    }
    tell(count_anew(), key_source::file);
}

void key_table::take_fleet(std::vector<fleet_key> keys)
{
    of_fleet_ = std::move(keys);
    are_fleet_keys_known_ = true;
    tell(count_anew(), key_source::fleet);
}

void key_table::add_fleet(fleet_key key)
{
    // A name is one tenant's, with one key: the fleet has made sure that there is no other.
    std::erase_if(of_fleet_, [&key](const auto& one) { return one.what.name == key.what.name; });
    of_fleet_.push_back(std::move(key));
    count_anew();
}

void key_table::remove_fleet(const sha256_digest& digest)
{
    std::erase_if(of_fleet_, [&digest](const auto& one) { return one.what.digest == digest; });
    count_anew();
}

bool key_table::is_shut_out(const key_entry& of_fleet) const
{
    return names_of_file_.contains(of_fleet.name) || digests_of_file_.contains(of_fleet.digest);
}

void key_table::tell(const change& what, key_source from) const
{
    log::info("audit: keys loaded",
              {{"keys", size()}, {"added", what.added}, {"removed", what.removed}, {"from", name(from)}});
}

key_table::change key_table::count_anew()
{
    std::vector<sha256_digest> digests;
    std::vector<std::shared_ptr<const tenant>> tenants;
    const auto add = [&](const key_entry& one) {
        digests.push_back(one.digest);
        auto his = account_of(one.name);
        his->set_limits(one.limits);
        tenants.push_back(std::make_shared<const tenant>(tenant{.name = one.name,
                                                                .client = client_of_tenant(one.name),
                                                                .digest = one.digest,
                                                                .scopes = one.scopes,
                                                                .account = std::move(his)}));
    };
    for (const auto& one : of_file_) add(one);
    for (const auto& one : of_fleet_) {
        if (!is_shut_out(one.what))
            add(one.what);
        else if (warns_of_shut_out_.again())
            log::warning("a key of Redis does not count, as the keys file has one of its name or digest; delete either",
                         {{"name", one.what.name}, {"sha256", to_hex(one.what.digest)}});
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
    return {added, removed};
}

std::size_t key_table::size(key_source from) const noexcept
{
    return from == key_source::file ? of_file_.size() : digests_.size() - of_file_.size();
}

std::vector<listed_key> key_table::list() const
{
    std::vector<listed_key> all;
    for (const auto& one : of_file_) all.push_back({.what = one, .from = key_source::file});
    for (const auto& one : of_fleet_)
        if (!is_shut_out(one.what))
            all.push_back({.what = one.what, .from = key_source::fleet, .created = one.created, .by = one.by});
    return all;
}

std::optional<listed_key> key_table::look_up(const sha256_digest& digest) const
{
    const auto filed = std::ranges::find(of_file_, digest, &key_entry::digest);
    if (filed != of_file_.end()) return listed_key{.what = *filed, .from = key_source::file};
    const auto shared =
        std::ranges::find_if(of_fleet_, [&digest](const auto& one) { return one.what.digest == digest; });
    if (shared == of_fleet_.end()) return std::nullopt;
    return listed_key{.what = shared->what, .from = key_source::fleet, .created = shared->created, .by = shared->by};
}

std::shared_ptr<account> key_table::account_of(const std::string& name)
{
    auto& known = accounts_[name];
    if (!known) known = std::make_shared<account>(meters_of(name));
    return known;
}

// Whose key is gone may come back today, and has used then what he has used.
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
    // In any scheme, and in any spelling that a program understands.
    if (!are_fleet_keys_known_ && !field.empty()) return true;
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
