#include "js/continuations.hpp"

#include "base/digest.hpp"

#include <algorithm>
#include <utility>

namespace sandboxd::js {

namespace {

constexpr std::size_t id_bytes = 32;
// Used ids that are remembered at most: twice as many as runs can be kept (js.maxContinuations), so that nobody pushes
// out those of others sooner than their runs; and never less than a megabyte or two of them, for runs that are given
// back.
constexpr std::size_t used_least = 20'000;
// For one newcomer: looking for each goes through all.
constexpr std::size_t most_displaced = 64;
// What the lists and maps take for an entry, about.
constexpr std::size_t entry_bytes = 512;

}  // namespace

std::size_t kept_run::bytes() const noexcept
{
    std::size_t sum = entry_bytes + sizeof *this + run.script.size() + (run.init_script ? run.init_script->size() : 0) +
                      calls.size() * sizeof(std::uint32_t);
    for (const auto& one : run.modules) sum += sizeof one + one.name.size() + one.source.size();
    for (const auto& one : run.tools) sum += sizeof(std::string) + one.size();
    if (run.resumed) sum += run.resumed->image.size();
    for (const auto& one : console) sum += sizeof one + one.data.size() + one.text.size();
    return sum;
}

continuations::continuations(continuation_settings settings, metrics::registry& counted,
                             std::function<clock::time_point()> now)
    : settings_{settings},
      now_{std::move(now)},
      shares_{{.count = settings.max_count, .bytes = settings.max_bytes}},
      suspended_{counted.add_counter("sandboxd_js_continuations_total", "Runs that waited for their tools.")},
      refused_{counted.add_counter("sandboxd_js_continuations_refused_total",
                                   "Runs that could not be kept, or not go on, because too many were kept "
                                   "(js.continuationBytes, js.maxContinuations).")},
      displaced_{counted.add_counter("sandboxd_js_continuations_displaced_total",
                                     "Kept runs dropped for those of clients who had fewer.")},
      expired_{counted.add_counter("sandboxd_js_continuations_expired_total",
                                   "Kept runs that nobody continued in time (js.continuationTtlSecs).")}
{
    counted.add_gauge("sandboxd_js_continuations", "Runs that wait for their tools.",
                      [this] { return static_cast<double>(size()); });
    counted.add_gauge("sandboxd_js_continuation_bytes", "Memory of the runs that wait for their tools.",
                      [this] { return static_cast<double>(bytes()); });
}

void continuations::erase(place which)
{
    shares_.remove(which->run->client, {.count = 1, .bytes = which->bytes});
    by_id_.erase(which->id);
    kept_.erase(which);
}

void continuations::forget_used(std::list<used_id>::iterator which)
{
    used_by_id_.erase(which->id);
    used_.erase(which);
}

bool continuations::keep(std::string id, run_ptr run, clock::time_point expires)
{
    const auto bytes = run->bytes();
    const auto client = run->client;
    if (bytes > settings_.max_bytes || settings_.max_count == 0) return false;
    const admission::client_shares::share more{.count = 1, .bytes = bytes};
    for (std::size_t i = 0; !shares_.has_room(more); ++i) {
        if (i == most_displaced) return false;
        const auto loser = shares_.gives_way(client, more, admission::client_shares::among_equals::newcomer);
        if (!loser) return false;
        const auto oldest = std::ranges::find_if(kept_, [&](const entry& one) { return one.run->client == *loser; });
        erase(oldest);
        displaced_.add();
    }
    // A run that was given back expires before those that were kept after it.
    auto before = kept_.end();
    while (before != kept_.begin() && std::prev(before)->expires > expires) --before;
    const auto at = kept_.insert(before, entry{std::move(id), std::move(run), bytes, expires});
    by_id_.emplace(at->id, at);
    shares_.add(client, more);
    return true;
}

std::optional<std::string> continuations::put(kept_run run)
{
    drop_expired();
    auto id = random_hex(id_bytes);
    auto name = named(run.owner, id);
    if (!keep(std::move(name), std::make_shared<const kept_run>(std::move(run)), now_() + settings_.ttl)) {
        refused_.add();
        return std::nullopt;
    }
    suspended_.add();
    return id;
}

continuations::found continuations::find(std::string_view id)
{
    drop_expired();
    const auto now = now_();
    if (const auto at = by_id_.find(id); at != by_id_.end() && at->second->expires > now)
        return {state::kept, at->second->run};
    const auto used = used_by_id_.find(id);
    return {used != used_by_id_.end() && used->second->expires > now ? state::used : state::unknown, nullptr};
}

std::optional<continuations::lease> continuations::use(std::string_view id, bool keep)
{
    const auto at = by_id_.find(id);
    const auto bytes = at->second->bytes;
    if (leased_ > 0 && (bytes > settings_.max_bytes || leased_ > settings_.max_bytes - bytes)) {
        refused_.add();
        return std::nullopt;
    }
    if (!keep) {
        used_.push_back({std::string{id}, at->second->expires});
        used_by_id_.emplace(used_.back().id, std::prev(used_.end()));
        erase(at->second);
        if (used_.size() > std::max(used_least, 2 * settings_.max_count)) forget_used(used_.begin());
    }
    return lease{*this, bytes};
}

void continuations::give_back(std::string_view id, run_ptr run)
{
    const auto at = used_by_id_.find(id);
    if (at == used_by_id_.end()) return;
    const auto expires = at->second->expires;
    forget_used(at->second);
    if (expires > now_() && !keep(std::string{id}, std::move(run), expires)) refused_.add();
}

std::size_t continuations::drop_expired()
{
    // So many in one turn: the rest is found by the next.
    constexpr std::size_t most = 1'000;
    const auto now = now_();
    std::size_t dropped = 0;
    for (; dropped < most && !kept_.empty() && kept_.front().expires <= now; ++dropped) erase(kept_.begin());
    for (std::size_t i = 0; i < most && !used_.empty() && used_.front().expires <= now; ++i) forget_used(used_.begin());
    expired_.add(dropped);
    return dropped;
}

std::size_t continuations::sweep() { return drop_expired(); }

void continuations::clear()
{
    kept_.clear();
    by_id_.clear();
    shares_.clear();
    used_.clear();
    used_by_id_.clear();
}

}  // namespace sandboxd::js
