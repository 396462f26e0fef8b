#include "jobs/answer_store.hpp"

#include <algorithm>
#include <utility>
#include <variant>

namespace sandboxd::jobs {

namespace {

constexpr std::string_view keys_help =
    "Requests with an Idempotency-Key that was known, or for which there was no room.";

std::size_t bytes_of_answer(const http::response& answer)
{
    std::size_t bytes = sizeof answer;
    for (const auto& one : answer.fields) bytes += sizeof one + one.second.size();
    return bytes + answer.text().size();
}

}  // namespace

answer_store::answer_store(answer_store_settings how, metrics::registry& metrics)
    : settings_{how},
      shares_{{.count = how.max_keys, .bytes = how.max_bytes}},
      repeated_{metrics.add_counter("sandboxd_idempotency_keys_total", keys_help, "found=\"answer\"")},
      reused_{metrics.add_counter("sandboxd_idempotency_keys_total", "", "found=\"other_request\"")},
      conflicts_{metrics.add_counter("sandboxd_idempotency_keys_total", "", "found=\"under_way\"")},
      refused_{metrics.add_counter("sandboxd_idempotency_keys_total", "", "found=\"no_room\"")},
      evicted_{metrics.add_counter("sandboxd_idempotency_keys_evicted_total",
                                   "Keys forgotten before their time, to make room.")}
{
    metrics.add_gauge("sandboxd_idempotency_keys", "Idempotency-Keys that are known.",
                      [this] { return static_cast<double>(size()); });
    metrics.add_gauge("sandboxd_idempotency_answer_bytes", "Bytes of the answers kept for them.",
                      [this] { return static_cast<double>(bytes()); });
}

answer_store::claim::~claim()
{
    if (mine_ && mine_->under_way) of_->forget(mine_);
}

void answer_store::claim::keep(http::response answer)
{
    mine_->under_way = false;
    const auto bytes = bytes_of_answer(answer);
    if (std::holds_alternative<http::file_slice>(answer.body) || bytes > most()) return;
    const admission::client_shares::share more{.count = 0, .bytes = bytes};
    while (!of_->shares_.has_room(more)) {
        const auto old = of_->gives_way(mine_->client, more);
        if (!old || old == mine_) return;
        of_->evicted_.add();
        of_->forget(old);
    }
    of_->shares_.add(mine_->client, more);
    mine_->bytes = bytes;
    // Repeating it copies nothing.
    answer.share_body();
    mine_->answer = std::move(answer);
}

answer_store::found answer_store::find(const client_key& client, const sha256_digest& scope,
                                       const sha256_digest& request, clock::time_point now)
{
    sweep(now);
    found here;
    if (const auto known = by_scope_.find(scope); known != by_scope_.end()) {
        const auto& one = *known->second;
        if (one.request != request) {
            reused_.add();
            here.what = state::other_request;
        } else if (one.under_way) {
            conflicts_.add();
            here.what = state::under_way;
        } else {
            repeated_.add();
            here.what = one.answer ? state::kept : state::not_kept;
            if (one.answer) here.answer = *one.answer;
        }
        return here;
    }
    if (!make_room(client)) {
        refused_.add();
        here.what = state::full;
        return here;
    }
    auto mine = std::make_shared<entry>(client, scope, request, now);
    auto& of_client = by_client_[client];
    mine->of_client = of_client.insert(of_client.end(), mine);
    mine->of_all = all_.insert(all_.end(), mine);
    by_scope_.emplace(scope, mine);
    shares_.add(client, {.count = 1, .bytes = 0});
    here.mine.emplace(*this, std::move(mine));
    return here;
}

void answer_store::sweep(clock::time_point now)
{
    for (auto at = all_.begin(); at != all_.end() && now - (*at)->since >= settings_.ttl;) {
        const auto one = *at++;
        if (!one->under_way) forget(one);
    }
}

void answer_store::forget(const std::shared_ptr<entry>& which)
{
    // `which` may be one of the references that go.
    const auto kept = which;  // NOLINT(performance-unnecessary-copy-initialization)
    const auto mine = by_client_.find(kept->client);
    mine->second.erase(kept->of_client);
    if (mine->second.empty()) by_client_.erase(mine);
    all_.erase(kept->of_all);
    by_scope_.erase(kept->scope);
    shares_.remove(kept->client, {.count = 1, .bytes = kept->bytes});
}

std::shared_ptr<answer_store::entry> answer_store::oldest(const entries& of)
{
    const auto at = std::ranges::find_if(of, [](const auto& one) { return !one->under_way; });
    return at == of.end() ? nullptr : *at;
}

bool answer_store::make_room(const client_key& client)
{
    const auto mine = by_client_.find(client);
    const bool client_full = mine != by_client_.end() && mine->second.size() >= settings_.max_keys_per_client;
    const admission::client_shares::share one{.count = 1, .bytes = 0};
    if (!client_full && shares_.has_room(one)) return true;
    const auto old = client_full ? oldest(mine->second) : gives_way(client, one);
    if (!old) return false;
    evicted_.add();
    forget(old);
    return true;
}

std::shared_ptr<answer_store::entry> answer_store::gives_way(const client_key& client,
                                                             admission::client_shares::share more) const
{
    const auto other =
        shares_.gives_way(client, more, admission::client_shares::among_equals::who_was_there,
                          [this](const client_key& one) { return oldest(by_client_.at(one)) != nullptr; });
    const auto loser = by_client_.find(other.value_or(client));
    return loser == by_client_.end() ? nullptr : oldest(loser->second);
}

}  // namespace sandboxd::jobs
