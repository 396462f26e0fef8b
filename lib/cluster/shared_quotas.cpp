#include "cluster/shared_quotas.hpp"

#include "base/digest.hpp"
#include "base/log.hpp"
#include "cluster/index_words.hpp"
#include "cluster/script_prelude.hpp"

#include <algorithm>
#include <array>
#include <exception>
#include <optional>
#include <utility>

namespace sandboxd::cluster {

namespace asio = boost::asio;
using kind = reply::kind;
using std::chrono::milliseconds;

namespace {

constexpr std::size_t name_bytes = 8;
// How often is looked what is to be told again, in its time (cluster.leaseSecs): so it is told at least three times in
// that, and two may be lost.
constexpr int looks_a_time = 6;
// Tenants that are told of at once; a pace, and no limit.
constexpr std::size_t most_tellings = 32;
constexpr milliseconds a_minute{60'000};
// Of a day's use: the clocks of servers, and what ends after midnight.
constexpr std::chrono::hours two_days{48};

constexpr const char* quotas_name = "sandboxd_cluster_quotas_total";
constexpr const char* quotas_help =
    "Words with Redis about what keys use, by what they were about and what came of it.";

// KEYS: the minute. ARGV: how long it lasts, how many are counted. How many there are, and how long it lasts still.
const std::string count_more_requests =
    "local requests = redis.call('HINCRBY', KEYS[1], 'requests', ARGV[2]) "
    "local left = redis.call('PTTL', KEYS[1]) "
    "if left < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) left = tonumber(ARGV[1]) end "
    "return {requests, left}";

// KEYS: what counts now, what was used on this day. ARGV: this server; its jobs, deployments and bytes, and how long
// they count; its processor time in us, its fuel, and how long they count. The sums of the others. A member is
// "server:number:…"; what is none goes. Sums of fuel come near to the largest integer of the one who reads them.
const std::string count_here =
    script_prelude +
    "local function others(set, count) "
    "  local sums = {0, 0, 0} "
    "  for _, one in ipairs(redis.call('ZRANGE', set, 0, -1)) do "
    "    local server, rest = string.match(one, '^(%x+):([%d:]+)$') "
    "    if not server or server == ARGV[1] then redis.call('ZREM', set, one) "
    "    else local i = 0 "
    "      for number in string.gmatch(rest, '%d+') do "
    "        i = i + 1 if i <= count then sums[i] = math.min(sums[i] + tonumber(number), 4e18) end end end end "
    "  return sums end "
    "sweep(KEYS[1]) "
    "local now_there = others(KEYS[1], 3) "
    "local used = others(KEYS[2], 2) "
    "if ARGV[2] ~= '0' or ARGV[3] ~= '0' or ARGV[4] ~= '0' then "
    "  put(KEYS[1], now + ARGV[5], ARGV[1] .. ':' .. ARGV[2] .. ':' .. ARGV[3] .. ':' .. ARGV[4], ARGV[5]) end "
    "if ARGV[6] ~= '0' or ARGV[7] ~= '0' then "
    "  put(KEYS[2], now + ARGV[8], ARGV[1] .. ':' .. ARGV[6] .. ':' .. ARGV[7], ARGV[8]) end "
    "local function text(number) return string.format('%.0f', number) end "
    "return {text(now_there[1]), text(now_there[2]), text(now_there[3]), text(used[1]), text(used[2])}";

constexpr std::size_t sums = 5;

// Nullopt: it is something else.
std::optional<tenants::usage> read_usage(const reply& said)
{
    if (said.is != kind::list || said.list.size() != sums) return std::nullopt;
    std::array<std::int64_t, sums> read{};
    for (std::size_t i = 0; i < sums; ++i) {
        const auto number = number_of(said.list[i].text);
        if (!number || *number < 0) return std::nullopt;
        read.at(i) = *number;
    }
    return tenants::usage{.jobs = read[0],
                          .coming = {.deployments = read[1], .bytes = read[2]},
                          .cpu = std::chrono::microseconds{read[3]},
                          .fuel = read[4]};
}

bool counts_now(const tenants::usage& one) { return one.jobs > 0 || one.coming != tenants::keeping{}; }

}  // namespace

shared_quotas::shared_quotas(asio::any_io_executor executor, async::task_group& tasks, redis_client& redis,
                             shared_quotas_settings how, metrics::registry& metrics)
    : executor_{executor},
      tasks_{tasks},
      redis_{redis},
      settings_{std::move(how)},
      me_{random_hex(name_bytes)},
      news_{std::make_shared<async::event>(executor)},
      metrics_{metrics}
{
}

void shared_quotas::start() { tasks_.spawn("tell other servers what keys use", tell_others()); }

asio::awaitable<void> shared_quotas::close()
{
    for (const auto& tenant : names()) {
        const auto found = watched_.find(tenant);
        if (found == watched_.end() || !found->second.changed) continue;
        if (!(co_await say(tenant, found->second.his, true)).has_value()) break;
    }
    closing_ = true;
    for (const auto& [tenant, one] : watched_) one.his->on_change({});
    news_->set();
}

void shared_quotas::came(std::string_view what, bool answered)
{
    metrics_
        .add_counter(quotas_name, quotas_help,
                     "what=\"" + std::string{what} + (answered ? "\",result=\"done\"" : "\",result=\"unavailable\""))
        .add();
}

template <class T, class Ask>
asio::awaitable<std::pair<std::shared_ptr<const shared_quotas::round<T>>, std::int64_t>> shared_quotas::take_part(
    lines<T>& all, std::string tenant, Ask ask)
{
    auto& place = all[tenant];
    if (!place) place = std::make_shared<line<T>>();
    const auto its = place;
    const bool leads = !its->next;
    if (leads) its->next = std::make_shared<round<T>>(executor_);
    const auto mine = its->next;
    const auto rank = ++mine->callers;
    if (!leads) {
        co_await mine->over.wait();
        co_return std::pair{std::shared_ptr<const round<T>>{mine}, rank};
    }
    if (const auto before = its->now) co_await before->over.wait();
    its->now = std::exchange(its->next, nullptr);
    {
        // However it ends, the others go on.
        struct finish {
            ~finish()
            {
                of.now->over.set();
                of.now.reset();
                if (!of.next) all.erase(tenant);
            }
            line<T>& of;
            lines<T>& all;
            const std::string& tenant;
        } const at_end{*its, all, tenant};
        mine->said = co_await ask(mine->callers);
    }
    co_return std::pair{std::shared_ptr<const round<T>>{mine}, rank};
}

asio::awaitable<result<tenants::minute>> shared_quotas::count_request(std::string tenant)
{
    const auto [counted, rank] = co_await take_part(
        requests_, tenant, [this, tenant](std::int64_t callers) { return count_requests(tenant, callers); });
    if (!counted->said) co_return counted->said.error();
    auto mine = *counted->said;
    mine.requests += rank - counted->callers;
    co_return mine;
}

asio::awaitable<result<tenants::minute>> shared_quotas::count_requests(std::string tenant, std::int64_t count)
{
    std::vector<std::string> words{"EVAL",
                                   count_more_requests,
                                   "1",
                                   settings_.prefix + "tenant-minute:" + tenant,
                                   std::to_string(a_minute.count()),
                                   std::to_string(count)};
    const auto said = co_await redis_.call(std::move(words));
    const bool is_read = said && said->is == kind::list && said->list.size() == 2 && said->list[0].is == kind::number &&
                         said->list[1].is == kind::number;
    came("request", is_read);
    if (!said) co_return index_error(said.error());
    if (!is_read) co_return index_error(odd_index());
    co_return tenants::minute{
        .requests = said->list[0].number,
        .left = milliseconds{std::clamp<std::int64_t>(said->list[1].number, 0, a_minute.count())}};
}

asio::awaitable<result<tenants::usage>> shared_quotas::count(std::string tenant, std::shared_ptr<tenants::account> his)
{
    watch(tenant, his);
    const auto [counted, rank] =
        co_await take_part(counts_, tenant, [this, tenant, his](std::int64_t) { return say(tenant, his, false); });
    came("count", counted->said.has_value());
    forget_idle(tenant);
    co_return counted->said;
}

void shared_quotas::watch(const std::string& tenant, const std::shared_ptr<tenants::account>& his)
{
    if (closing_) return;
    const auto [at, is_new] = watched_.try_emplace(tenant);
    if (!is_new) return;
    auto& one = at->second;
    one.his = his;
    his->on_change([this, &one] {
        one.changed = true;
        news_->set();
    });
}

asio::awaitable<result<tenants::usage>> shared_quotas::say(std::string tenant, std::shared_ptr<tenants::account> his,
                                                           bool renews)
{
    const auto now = std::chrono::system_clock::now();
    const auto here = his->here(now);
    if (const auto found = watched_.find(tenant); found != watched_.end()) {
        found->second.changed = false;
        found->second.told = clock::now();
    }
    const auto day = std::chrono::floor<std::chrono::days>(now).time_since_epoch().count();
    std::vector<std::string> words{"EVAL",
                                   count_here,
                                   "2",
                                   settings_.prefix + "tenant-now:" + tenant,
                                   settings_.prefix + "tenant-day:" + std::to_string(day) + ':' + tenant,
                                   me_,
                                   std::to_string(here.jobs),
                                   std::to_string(here.coming.deployments),
                                   std::to_string(here.coming.bytes),
                                   std::to_string(settings_.time.count()),
                                   std::to_string(here.cpu.count()),
                                   std::to_string(here.fuel),
                                   std::to_string(milliseconds{two_days}.count())};
    const auto said = co_await redis_.call(std::move(words), renews);
    const auto there = said ? read_usage(*said) : std::nullopt;
    if (!there) {
        // It is told again.
        if (const auto found = watched_.find(tenant); found != watched_.end()) found->second.changed = true;
        co_return index_error(said ? odd_index() : said.error());
    }
    co_return *there;
}

std::vector<std::string> shared_quotas::due() const
{
    const auto since = clock::now() - settings_.time / looks_a_time;
    std::vector<std::string> names;
    const auto now = std::chrono::system_clock::now();
    for (const auto& [tenant, one] : watched_)
        if (!one.telling && (one.changed || (one.told <= since && counts_now(one.his->here(now)))))
            names.push_back(tenant);
    return names;
}

std::vector<std::string> shared_quotas::names() const
{
    std::vector<std::string> all;
    for (const auto& [tenant, one] : watched_) all.push_back(tenant);
    return all;
}

void shared_quotas::begin_telling()
{
    for (auto& tenant : due()) {
        // Whoever ends makes place for the next one, and says so.
        if (telling_ >= most_tellings) return;
        auto& one = watched_.at(tenant);
        one.telling = true;
        ++telling_;
        try {
            tasks_.spawn("tell other servers what a key uses", tell_of(std::move(tenant)));
        } catch (const std::exception& thrown) {
            one.telling = false;
            --telling_;
            log::warning("other servers cannot be told what a key uses", {{"cause", thrown.what()}});
        }
    }
}

asio::awaitable<void> shared_quotas::tell_others()
{
    while (!closing_) {
        if (news_->is_set()) news_ = std::make_shared<async::event>(executor_);
        begin_telling();
        // The day may have changed.
        for (const auto& tenant : names()) forget_idle(tenant);
        // Kept for as long as it is waited for. What could not be told is told at the next round, and no earlier.
        const auto news = news_;
        co_await news->wait_for(settings_.time / looks_a_time);
    }
}

asio::awaitable<void> shared_quotas::tell_of(std::string tenant)
{
    auto& one = watched_.at(tenant);  // it stays as long as it is told of
    bool is_told = false;
    try {
        is_told = (co_await say(tenant, one.his, true)).has_value();
    } catch (const std::exception& thrown) {
        log::warning("other servers cannot be told what a key uses", {{"tenant", tenant}, {"cause", thrown.what()}});
    }
    came("tell", is_told);
    one.telling = false;
    const bool is_full = telling_-- == most_tellings;
    if (is_told && (one.changed || is_full)) news_->set();
    forget_idle(tenant);
}

// What has used something today may use more without another job: one that has been broken off says so later.
void shared_quotas::forget_idle(const std::string& tenant)
{
    const auto found = watched_.find(tenant);
    if (found == watched_.end() || found->second.changed || found->second.telling) return;
    if (!found->second.his->is_idle(std::chrono::system_clock::now())) return;
    found->second.his->on_change({});
    watched_.erase(found);
}

}  // namespace sandboxd::cluster
