#include "load/world.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace sandboxd::test {

namespace {

constexpr std::uint64_t most_printed = 40;
constexpr std::size_t most_recent = 64;

bool same(const std::vector<artifact>& one, const std::vector<artifact>& other)
{
    return std::equal(one.begin(), one.end(), other.begin(), other.end(), [](const artifact& a, const artifact& b) {
        return a.url == b.url && a.bytes == b.bytes && a.sha256 == b.sha256;
    });
}

}  // namespace

bool turnstile::enter(const std::function<void()>& before_waiting)
{
    std::unique_lock lock{guard_};
    if (closed_) before_waiting();
    changed_.wait(lock, [this] { return !closed_ || over_; });
    if (over_) return false;
    ++inside_;
    return true;
}

void turnstile::leave()
{
    const std::lock_guard lock{guard_};
    --inside_;
    changed_.notify_all();
}

void turnstile::close()
{
    std::unique_lock lock{guard_};
    closed_ = true;
    changed_.wait(lock, [this] { return inside_ == 0; });
}

void turnstile::open()
{
    const std::lock_guard lock{guard_};
    closed_ = false;
    changed_.notify_all();
}

void turnstile::finish()
{
    const std::lock_guard lock{guard_};
    over_ = true;
    changed_.notify_all();
}

void books::violation(const std::string& what)
{
    if (++violations_ > most_printed) return;
    std::fprintf(stderr, "load: VIOLATION: %s\n", what.c_str());
}

void books::publish(publication what)
{
    ++compiles;
    const std::lock_guard lock{guard_};
    const auto [place, fresh] = known_.try_emplace(what.id, what.files);
    if (!fresh && !same(place->second, what.files)) {
        ++hash_errors;
        violation("the id " + what.id + " came with other artifacts than before");
    }
    if (fresh) artifacts_.insert(artifacts_.end(), what.files.begin(), what.files.end());
    if (recent_.size() < most_recent) recent_.push_back(std::move(what));
}

std::optional<artifact> books::any(random_source& random) const
{
    const std::lock_guard lock{guard_};
    if (artifacts_.empty()) return std::nullopt;
    return artifacts_[pick(random, artifacts_.size())];
}

std::vector<artifact> books::all() const
{
    const std::lock_guard lock{guard_};
    return artifacts_;
}

std::vector<publication> books::take_recent()
{
    const std::lock_guard lock{guard_};
    return std::exchange(recent_, {});
}

void books::count(unsigned status, const std::string& code)
{
    const std::lock_guard lock{guard_};
    ++tally_[std::to_string(status) + (code.empty() ? "" : " " + code)];
}

std::string books::tally() const
{
    const std::lock_guard lock{guard_};
    std::string text;
    for (const auto& [what, times] : tally_) text += (text.empty() ? "" : ", ") + what + ": " + std::to_string(times);
    return text;
}

}  // namespace sandboxd::test
