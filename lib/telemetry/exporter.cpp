#include "telemetry/exporter.hpp"

#include "base/log.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <exception>
#include <span>
#include <utility>

namespace sandboxd::telemetry {

namespace asio = boost::asio;

namespace {

constexpr const char* spans_name = "sandboxd_telemetry_spans_total";
constexpr const char* spans_help = "Spans by what became of them (telemetry.otlpEndpoint).";
constexpr const char* requests_name = "sandboxd_telemetry_requests_total";
constexpr const char* requests_help = "Requests to the collector of spans, by what came of them.";
// The end of a server waits no longer for its last spans.
constexpr std::chrono::milliseconds last_patience{2'000};

std::string label(const char* result) { return std::string{"result=\""} + result + '"'; }

}  // namespace

exporter::exporter(asio::any_io_executor executor, async::task_group& tasks, exporter_settings how,
                   std::shared_ptr<asio::ssl::context> tls, metrics::registry& metrics)
    : executor_{executor},
      tasks_{tasks},
      settings_{std::move(how)},
      around_{envelope_of(settings_.who)},
      client_{executor, tasks, settings_.client, std::move(tls)},
      chance_{std::random_device{}()},
      closing_{executor},
      exported_{metrics.add_counter(spans_name, spans_help, label("exported"))},
      rejected_{metrics.add_counter(spans_name, spans_help, label("rejected"))},
      failed_{metrics.add_counter(spans_name, spans_help, label("failed"))},
      queue_full_{metrics.add_counter(spans_name, spans_help, label("queue_full"))},
      rate_limited_{metrics.add_counter(spans_name, spans_help, label("rate_limited"))},
      at_shutdown_{metrics.add_counter(spans_name, spans_help, label("shutdown"))},
      requests_done_{metrics.add_counter(requests_name, requests_help, label("done"))},
      requests_again_{metrics.add_counter(requests_name, requests_help, label("try_again"))},
      requests_refused_{metrics.add_counter(requests_name, requests_help, label("refused"))},
      seconds_{metrics.add_histogram("sandboxd_telemetry_request_seconds",
                                     "Time of requests to the collector of spans that were answered.")}
{
    metrics.add_gauge("sandboxd_telemetry_queued_bytes", "Bytes of spans that wait for the collector.",
                      [this] { return static_cast<double>(bytes_); });
}

void exporter::take(std::string span)
{
    const auto size = span.size() + span_overhead;
    if (closing_.is_set()) return at_shutdown_.add();
    if (size > settings_.queued_bytes - bytes_ || size > settings_.batch_bytes) return queue_full_.add();
    queue_.push_back(std::move(span));
    bytes_ += size;
    if (is_sending_) {
        if (news_ && bytes_ >= settings_.batch_bytes) news_->set();
        return;
    }
    // Before it begins: it may be over when spawn() returns.
    is_sending_ = true;
    try {
        tasks_.spawn("send spans", send_all());
    } catch (...) {
        is_sending_ = false;
        throw;
    }
}

std::string exporter::trouble() const
{
    return trouble_.empty() ? std::string{}
                            : "telemetry.otlpEndpoint: the collector does not take spans; the log says why";
}

// There is one of this while there are spans.
asio::awaitable<void> exporter::send_all()
{
    struct at_end {
        explicit at_end(exporter& its) : of{its} {}
        ~at_end()
        {
            of.bytes_ = of.counted();
            of.is_sending_ = false;
            of.news_.reset();
            if (of.idle_) of.idle_->set();
        }
        at_end(const at_end&) = delete;
        at_end& operator=(const at_end&) = delete;
        exporter& of;
    } const told{*this};
    while (!queue_.empty()) {
        co_await gather();
        auto one = next_batch();
        for (bool is_over = false; !is_over;) {
            const auto next = co_await send(one);
            is_over = next.is_over;
            if (next.pause.count() > 0) co_await closing_.wait_for(next.pause);
            if (is_over || !closing_.is_set()) continue;
            at_shutdown_.add(one.spans);
            is_over = true;
        }
        bytes_ -= one.bytes;
        // Who ends does not wait for a collector that is away.
        if (closing_.is_set() && failures_ > 0) drop_queue();
    }
}

// Waits for more spans, until there is enough for a batch.
asio::awaitable<void> exporter::gather()
{
    if (bytes_ >= settings_.batch_bytes || closing_.is_set()) co_return;
    news_ = std::make_shared<async::event>(executor_);
    const auto mine = news_;
    co_await mine->wait_for(settings_.delay);
    news_.reset();
}

exporter::batch exporter::next_batch()
{
    batch made;
    std::size_t room = settings_.batch_bytes;
    std::size_t size = around_.head.size() + around_.tail.size();
    std::uint64_t count = 0;
    for (const auto& one : queue_) {
        if (one.size() + span_overhead > room) break;
        room -= one.size() + span_overhead;
        size += one.size() + 1;
        ++count;
    }
    made.body.reserve(size);
    made.body = around_.head;
    for (; made.spans < count; ++made.spans) {
        if (made.spans > 0) made.body += ',';
        made.body += queue_.front();
        made.bytes += queue_.front().size() + span_overhead;
        queue_.pop_front();
    }
    made.body += around_.tail;
    return made;
}

asio::awaitable<exporter::verdict> exporter::send(batch& one)
{
    ++one.attempts;
    std::string answer;
    remote::call what;
    what.method = "POST";
    what.target = settings_.target;
    what.until = clock::now() + settings_.timeout;
    what.media_type = "application/json";
    what.body_bytes = one.body.size();
    what.read = [&one](std::span<char> into, std::uint64_t at) {
        return static_cast<std::int64_t>(one.body.copy(into.data(), into.size(), static_cast<std::size_t>(at)));
    };
    what.most_bytes = most_answer_bytes;
    what.take = [&answer](std::string_view piece) {
        answer += piece;
        return true;
    };
    const auto began = clock::now();
    std::string why;
    try {
        const auto said = co_await client_.make(std::move(what));
        if (said) {
            seconds_.observe(std::chrono::duration<double>(clock::now() - began).count());
            co_return judge(one, *said, answer);
        }
        // Of such a length is only the answer to what was taken.
        if (said.error().code == errc::payload_too_large) {
            is_taken(one, {});
            co_return verdict{};
        }
        why = said.error().message;
    } catch (const std::exception& e) {
        why = e.what();
    }
    co_return try_again(one, std::move(why), std::nullopt);
}

exporter::verdict exporter::judge(const batch& one, const remote::reply& said, const std::string& body)
{
    switch (fate_of(said.status)) {
        case batch_fate::taken: is_taken(one, read_partial_success(body)); break;
        case batch_fate::try_again:
            return try_again(one, "it answers with status " + std::to_string(said.status), said.retry_after);
        case batch_fate::refused:
            requests_refused_.add();
            rejected_.add(one.spans);
            failures_ = 0;
            tell_trouble("it refuses spans with status " + std::to_string(said.status));
            break;
    }
    return {};
}

void exporter::is_taken(const batch& one, const partial_success& said)
{
    requests_done_.add();
    const auto lost = std::min(said.rejected, one.spans);
    exported_.add(one.spans - lost);
    rejected_.add(lost);
    failures_ = 0;
    if (lost > 0) return tell_trouble("it refuses some of the spans: " + in_quotes(said.message));
    if (!trouble_.empty()) log::info("the collector takes spans again", {{"url", settings_.client.where.text()}});
    trouble_.clear();
}

exporter::verdict exporter::try_again(const batch& one, std::string why, std::optional<std::chrono::seconds> asked_for)
{
    requests_again_.add();
    ++failures_;
    const bool is_over = one.attempts >= settings_.attempts;
    if (is_over) failed_.add(one.spans);
    // The end of the server may be what ended it.
    if (!closing_.is_set()) tell_trouble(std::move(why));
    const auto chance = std::uniform_real_distribution<double>{0, 1}(chance_);
    return {.is_over = is_over, .pause = pause_after(failures_, settings_.longest_pause, chance, asked_for)};
}

void exporter::tell_trouble(std::string why)
{
    if (trouble_ != why)
        log::warning("the collector does not take spans; those that it does not take in time are dropped",
                     {{"url", settings_.client.where.text()}, {"reason", why}});
    trouble_ = std::move(why);
}

void exporter::drop_queue()
{
    at_shutdown_.add(queue_.size());
    bytes_ -= counted();
    queue_.clear();
}

std::size_t exporter::counted() const noexcept
{
    std::size_t sum = 0;
    for (const auto& one : queue_) sum += one.size() + span_overhead;
    return sum;
}

asio::awaitable<void> exporter::close()
{
    closing_.set();
    if (news_) news_->set();
    if (is_sending_) {
        idle_ = std::make_shared<async::event>(executor_);
        const auto mine = idle_;
        if (failures_ == 0) co_await mine->wait_for(std::min(last_patience, settings_.timeout));
        client_.close();
        co_await mine->wait();
    }
    client_.close();
    drop_queue();
}

}  // namespace sandboxd::telemetry
