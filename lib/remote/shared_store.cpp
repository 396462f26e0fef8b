// Two halves: what is read (fetch, fly, bring, load, take_in), and what is written (share, write_behind, write, put).
#include "remote/shared_store.hpp"

#include "artifacts/names.hpp"
#include "base/digest.hpp"
#include "base/log.hpp"
#include "disk/files.hpp"

#include <algorithm>
#include <cstring>
#include <exception>
#include <utility>
#include <vector>

namespace sandboxd::remote {

namespace asio = boost::asio;

namespace {

using bytes_reader = std::function<std::int64_t(std::span<char>, std::uint64_t)>;

constexpr auto first_backoff = std::chrono::milliseconds{500};
// Ids whose entry in the cache is known to be wrong; what is forgotten is found to be wrong again, by one more fetch,
// which has limits of its own (store.maxRemoteFetches). A cache with more of them needs to be emptied.
constexpr std::size_t most_wrong = 4096;

constexpr const char* reads_name = "sandboxd_store_remote_reads_total";
constexpr const char* reads_help = "Entries that were looked for in the cache (store.remote), by what came of it.";
constexpr const char* writes_name = "sandboxd_store_remote_writes_total";
constexpr const char* writes_help = "Entries for the cache (store.remote), by what became of them.";
constexpr const char* refused_name = "sandboxd_store_remote_refused_total";
constexpr const char* refused_help = "Wrong entries of the cache (store.remote), by what is wrong.";
constexpr const char* failures_name = "sandboxd_store_remote_failures_total";
constexpr const char* failures_help = "Calls of the cache (store.remote) that failed, by why.";

bytes_reader reader_of(std::shared_ptr<const artifacts::content> from)
{
    return [from = std::move(from)](std::span<char> into, std::uint64_t offset) -> std::int64_t {
        if (!from->memory) return disk::read_at(from->file->get(), into, offset);
        if (offset > from->memory->size() || into.size() > from->memory->size() - offset) return -1;
        std::memcpy(into.data(), from->memory->data() + offset, into.size());
        return static_cast<std::int64_t>(into.size());
    };
}

// `text` outlives the reader.
bytes_reader reader_of(std::string_view text)
{
    return [text](std::span<char> into, std::uint64_t offset) -> std::int64_t {
        const auto part = text.substr(std::min<std::size_t>(text.size(), offset), into.size());
        std::ranges::copy(part, into.begin());
        return static_cast<std::int64_t>(part.size());
    };
}

bool is_success(unsigned status) { return status == 200 || status == 201 || status == 204; }
bool is_absence(unsigned status) { return status == 404 || status == 410; }
// What another attempt may change (RFC 9110 15).
bool is_passing(unsigned status) { return status >= 500 || status == 408 || status == 429; }

}  // namespace

// A blob on its way.
struct shared_store::download {
    named_blob what{};
    unique_fd file{};
    sha256 hash{};
    std::uint64_t bytes{0};
    result<reply> said{error{errc::internal, "the call did not come to its end"}};
    std::string digest{};
};

struct shared_store::downloads {
    downloads(const asio::any_io_executor& executor, clock::time_point start, clock::time_point lines_end)
        : began{start}, until{lines_end}, ended{executor}
    {
    }
    clock::time_point began;  // the whole fetch
    clock::time_point until;
    std::vector<download> all{};  // the last one is the record
    std::size_t left{0};
    async::event ended;
};

shared_store::shared_store(asio::any_io_executor executor, async::task_group& tasks, shared_store_settings how,
                           std::shared_ptr<asio::ssl::context> tls, artifacts::store& local, metrics::registry& metrics)
    : executor_{std::move(executor)},
      tasks_{tasks},
      settings_{std::move(how)},
      client_{executor_, tasks_, settings_.client, std::move(tls)},
      local_{local},
      reads_{settings_.failures, settings_.pause},
      lies_{settings_.failures, settings_.pause},
      writes_{settings_.failures, settings_.pause},
      closing_{executor_},
      read_{
          .hit = metrics.add_counter(reads_name, reads_help, "result=\"hit\""),
          .miss = metrics.add_counter(reads_name, reads_help, "result=\"miss\""),
          .refused = metrics.add_counter(reads_name, reads_help, "result=\"refused\""),
          .failed = metrics.add_counter(reads_name, reads_help, "result=\"failed\""),
          .skipped = metrics.add_counter(reads_name, reads_help, "result=\"skipped\""),
          .crowded = metrics.add_counter(reads_name, reads_help, "result=\"client_share\""),
          .seconds = metrics.add_histogram("sandboxd_store_remote_read_seconds",
                                           "Time to look for an entry in the cache (store.remote), and to fetch it.")},
      wrote_{.done = metrics.add_counter(writes_name, writes_help, "result=\"done\""),
             .failed = metrics.add_counter(writes_name, writes_help, "result=\"failed\""),
             .dropped = metrics.add_counter(writes_name, writes_help, "result=\"dropped\""),
             .gone = metrics.add_counter(writes_name, writes_help, "result=\"gone\"")},
      metrics_{metrics}
{
    metrics.add_gauge("sandboxd_store_remote_queued", "Entries that wait to be written to the cache (store.remote).",
                      [this] { return static_cast<double>(queue_.size()); });
    metrics.add_gauge("sandboxd_store_remote_queued_bytes",
                      "Bytes of the entries that wait to be written to the cache (store.remote).",
                      [this] { return static_cast<double>(queued_bytes_); });
    metrics.add_gauge("sandboxd_store_remote_fetching",
                      "Entries that are being looked for in the cache (store.remote), or fetched.",
                      [this] { return static_cast<double>(flights_.size()); });
    metrics.add_gauge("sandboxd_store_remote_fetching_bytes",
                      "Bytes of the entries that are being fetched from the cache (store.remote).",
                      [this] { return static_cast<double>(coming_bytes_); });
    metrics.add_gauge("sandboxd_store_remote_connections",
                      "Open connections to the cache (store.remote), for artifacts.",
                      [this] { return static_cast<double>(client_.open_connections()); });
    metrics.add_gauge("sandboxd_store_remote_unavailable",
                      "1 while the cache has failed, or has had wrong entries, too often to be asked.",
                      [this] { return reads_.is_open() || lies_.is_open() ? 1.0 : 0.0; });
}

void shared_store::close()
{
    closing_.set();
    for (const auto& one : queue_) one.left->set();
    queue_.clear();
    queued_bytes_ = 0;
    client_.close();
}

std::string shared_store::trouble() const
{
    if (reads_.is_open()) return "store.remote: the cache fails, and is not asked for a while; the log says why";
    if (lies_.is_open())
        return "store.remote: the cache has wrong entries, and is not asked for a while; the log says why";
    if (takes_nothing()) return "store.remote: the cache takes no artifacts; the log says why";
    return {};
}

asio::awaitable<artifacts::elsewhere::found> shared_store::fetch(std::string id, client_key client)
{
    if (!artifacts::is_id(id)) co_return found::nowhere;
    std::shared_ptr<flight> mine;
    if (const auto place = flights_.find(id); place != flights_.end()) {
        mine = place->second;
    } else {
        // Ids that nobody has cost a client nothing; so one alone must not take all fetches with them.
        const auto his =
            std::ranges::count_if(flights_, [&client](const auto& one) { return one.second->client == client; });
        if (static_cast<std::size_t>(his) >= settings_.fetches_per_client) {
            read_.crowded.add();
            co_return found::unknown;
        }
        // The breakers last: who is let through must try.
        if (closing_.is_set() || flights_.size() >= settings_.fetches || !may_ask()) {
            read_.skipped.add();
            co_return found::unknown;
        }
        // It may end before `spawn` returns, or never begin; what is listed ends.
        mine = std::make_shared<flight>(executor_, client);
        flights_.emplace(id, mine);
        try {
            tasks_.spawn("fetch an entry", fly(id, mine));
        } catch (...) {
            flights_.erase(id);
            throw;
        }
    }
    // What is whole when this caller has left is there for the next one.
    co_await mine->ended.wait_for(settings_.timeout);
    co_return mine->outcome;
}

asio::awaitable<void> shared_store::fly(std::string id, std::shared_ptr<flight> mine)
{
    const auto began = clock::now();
    // However this ends, the next who asks for the entry gets a flight of his own.
    struct at_end {
        shared_store& of;
        const std::string& id;
        flight& mine;
        ~at_end()
        {
            of.flights_.erase(id);
            mine.ended.set();
        }
    } const told{*this, id, *mine};
    try {
        mine->outcome = co_await bring(id, began);
    } catch (const std::exception& thrown) {
        mine->outcome = failed(id, {errc::internal, thrown.what()});
    }
    read_.seconds.observe(std::chrono::duration<double>(clock::now() - began).count());
}

artifacts::elsewhere::found shared_store::failed(const std::string& id, const error& why)
{
    // That all connections are in use, or that much is on its way already, is no failure of anybody's.
    if (why.code == errc::queue_full) {
        read_.skipped.add();
        return found::unknown;
    }
    read_.failed.add();
    if (why.code == errc::draining) return found::unknown;
    metrics_.add_counter(failures_name, failures_help, "why=\"" + std::string{name(why.code)} + "\"").add();
    // Our own lack of disk says nothing about the cache.
    if (why.code == errc::io || why.code == errc::internal) {
        log::warning("an entry cannot be fetched from the cache (store.remote)", {{"id", id}, {"reason", why.message}});
        return found::unknown;
    }
    const bool was_open = reads_.is_open();
    reads_.failed(clock::now());
    if (reads_.is_open() && !was_open)
        log::warning(
            "the cache of artifacts fails (store.remote), and is not asked for a while",
            {{"url", client_.where().text()}, {"reason", why.message}, {"pause_secs", settings_.pause.count()}});
    return found::unknown;
}

artifacts::elsewhere::found shared_store::missed(clock::time_point began)
{
    reads_.succeeded();
    read_.miss.add();
    // Of the one who was let through after the pause; what was under way before it says nothing.
    if (lies_.is_open() && began > lies_since_) lies_.succeeded();
    return found::nowhere;
}

artifacts::elsewhere::found shared_store::refused(const std::string& id, std::string_view what, const std::string& why)
{
    reads_.succeeded();
    read_.refused.add();
    metrics_.add_counter(refused_name, refused_help, "what=\"" + std::string{what} + "\"").add();
    if (wrong_.contains(id)) return found::nowhere;
    if (wrong_.size() >= most_wrong) wrong_.clear();
    wrong_.insert(id);
    log::warning("the cache of artifacts (store.remote) has a wrong entry; it is not used",
                 {{"id", id}, {"what", what}, {"reason", why}});
    const bool was_open = lies_.is_open();
    lies_.failed(clock::now());
    if (lies_.is_open() && !was_open) {
        lies_since_ = clock::now();
        log::warning("the cache of artifacts (store.remote) has too many wrong entries, and is not asked for a while",
                     {{"url", client_.where().text()}, {"reason", why}, {"pause_secs", settings_.pause.count()}});
    }
    return found::nowhere;
}

bool shared_store::may_ask()
{
    const auto now = clock::now();
    // Both before either is told that somebody tries.
    if (reads_.wait(now).count() > 0 || lies_.wait(now).count() > 0) return false;
    return reads_.allows(now) && lies_.allows(now);
}

asio::awaitable<artifacts::elsewhere::found> shared_store::bring(std::string id, clock::time_point began)
{
    std::string document;
    call ask;
    ask.target = "/ac/" + settings_.key.place_of(id);
    // Behind that nobody waits for it.
    ask.until = clock::now() + settings_.timeout;
    ask.patience = settings_.timeout;
    ask.least_rate = settings_.least_rate;
    ask.most_bytes = longest_document;
    ask.take = [&document](std::string_view piece) {
        document += piece;
        return true;
    };
    const auto said = co_await client_.make(std::move(ask));
    if (!said && said.error().code == errc::payload_too_large)
        co_return refused(id, "document", "the document is too long");
    if (!said) co_return failed(id, said.error());
    if (is_absence(said->status)) co_return missed(began);
    if (said->status != 200)
        co_return failed(id, {errc::upstream_failed, "the cache answers with status " + std::to_string(said->status)});
    auto entry = read_document(document, id, settings_.key, settings_.caps);
    if (!entry)
        co_return refused(id, entry.error().code == errc::forbidden ? "signature" : "document", entry.error().message);

    std::uint64_t bytes = entry->record.bytes;
    for (const auto& one : entry->files) bytes += one.what.bytes;
    if (bytes > settings_.fetch_bytes - std::min(settings_.fetch_bytes, coming_bytes_))
        co_return failed(id, {errc::queue_full, "too much is being fetched (store.maxRemoteFetchMB)"});
    coming_bytes_ += bytes;
    struct at_end {
        std::uint64_t& of;
        std::uint64_t bytes;
        ~at_end() { of -= bytes; }
    } const counted{coming_bytes_, bytes};

    // By then all that is being fetched has come, unless the cache is too slow.
    const std::chrono::milliseconds others{coming_bytes_ * 1000 / settings_.least_rate};
    auto all = std::make_shared<downloads>(executor_, began, clock::now() + settings_.timeout + others);
    for (auto& one : entry->files) all->all.emplace_back().what = std::move(one);
    all->all.emplace_back().what = {{}, entry->record};

    all->left = all->all.size();
    for (std::size_t i = 0; i < all->all.size(); ++i) tasks_.spawn("fetch a blob", load(all, i));
    // Each ends in time.
    co_await all->ended.wait();
    co_return co_await take_in(std::move(id), std::move(all));
}

asio::awaitable<void> shared_store::load(std::shared_ptr<downloads> all, std::size_t index)
{
    struct at_end {
        downloads& of;
        ~at_end()
        {
            if (--of.left == 0) of.ended.set();
        }
    } const told{*all};
    auto& mine = all->all[index];
    auto file = local_.blank_file();
    if (!file) {
        mine.said = file.error();
        co_return;
    }
    mine.file = std::move(*file);
    if (mine.what.what.bytes > 0) {
        call ask;
        ask.target = "/cas/" + mine.what.what.sha256;
        ask.until = all->until;
        ask.patience = settings_.timeout;
        ask.least_rate = settings_.least_rate;
        ask.most_bytes = mine.what.what.bytes;
        ask.take = [&mine](std::string_view piece) {
            mine.hash.update(piece);
            mine.bytes += piece.size();
            return disk::write_all(mine.file.get(), piece);
        };
        mine.said = co_await client_.make(std::move(ask));
    } else {
        mine.said = reply{.status = 200, .length = {}};
    }
    mine.digest = to_hex(mine.hash.finish());
}

asio::awaitable<artifacts::elsewhere::found> shared_store::take_in(std::string id, std::shared_ptr<downloads> all)
{
    for (const auto& one : all->all) {
        const auto& said = one.said;
        const auto name = one.what.name.empty() ? std::string{"the record"} : one.what.name;
        if (!said && said.error().code == errc::payload_too_large)
            co_return refused(id, "bytes", name + " is longer than its document says");
        if (!said) co_return failed(id, said.error());
        // The cache has dropped it, since it keeps no more than it has room for.
        if (is_absence(said->status)) co_return missed(all->began);
        if (said->status != 200)
            co_return failed(id,
                             {errc::upstream_failed, "the cache answers with status " + std::to_string(said->status)});
        if (one.bytes != one.what.what.bytes || one.digest != one.what.what.sha256)
            co_return refused(id, "bytes", name + " has other bytes than its document says");
    }
    auto record_of = std::move(all->all.back());
    all->all.pop_back();
    std::string record(static_cast<std::size_t>(record_of.bytes), '\0');
    if (disk::read_at(record_of.file.get(), record, 0) != static_cast<std::int64_t>(record.size()))
        co_return failed(id, {errc::io, "the record cannot be read"});
    std::vector<artifacts::collected> files;
    for (auto& one : all->all) files.push_back({std::move(one.what.name), std::move(one.file), one.bytes});
    reads_.succeeded();
    lies_.succeeded();
    const auto published = co_await local_.publish(id, std::move(files), std::move(record));
    if (!published) co_return failed(id, {errc::io, published.error().message});
    read_.hit.add();
    wrong_.erase(id);
    tasks_.spawn("compress artifacts", local_.compress(id));
    co_return found::here;
}

void shared_store::share(const std::string& id)
{
    const auto made = local_.find(id);
    if (!made || closing_.is_set()) return;
    pending one{.id = id,
                .bytes = made->record.size(),
                .replace = wrong_.erase(id) > 0,
                .left = std::make_shared<async::event>(executor_)};
    for (const auto& file : made->files) one.bytes += file.bytes;
    const bool waits = std::ranges::any_of(queue_, [&id](const pending& other) { return other.id == id; });
    if (waits) return;
    if (queue_.size() >= settings_.queued || queued_bytes_ > settings_.queue_bytes ||
        one.bytes > settings_.queue_bytes - queued_bytes_) {
        wrote_.dropped.add();
        return;
    }
    queued_bytes_ += one.bytes;
    queue_.push_back(std::move(one));
    if (writing_) return;
    // It may end before `spawn` returns, or never begin.
    writing_ = true;
    try {
        tasks_.spawn("share artifacts", write_behind());
    } catch (...) {
        writing_ = false;
        throw;
    }
}

asio::awaitable<bool> shared_store::settled(std::string id, clock::duration patience)
{
    const auto place = std::ranges::find_if(queue_, [&id](const pending& one) { return one.id == id; });
    if (place == queue_.end()) co_return true;
    const auto left = place->left;
    co_return co_await left->wait_for(patience);
}

// One entry after the other, over one connection: compiles are slower than it.
asio::awaitable<void> shared_store::write_behind()
{
    struct at_end {
        bool& of;
        ~at_end() { of = false; }
    } const told{writing_};
    unsigned attempts = 0;
    while (!queue_.empty()) {
        if (const auto rest = writes_.wait(clock::now()); rest.count() > 0 && co_await closing_.wait_for(rest)) break;
        if (!writes_.allows(clock::now())) continue;
        const auto one = queue_.front();
        auto became = written::later;
        try {
            became = co_await write(one);
        } catch (const std::exception& thrown) {
            not_written(thrown.what());
        }
        if (closing_.is_set()) break;
        if (became == written::later && ++attempts < settings_.write_attempts) {
            if (co_await closing_.wait_for(first_backoff * (1u << std::min(attempts - 1, 6u)))) break;
            continue;
        }
        attempts = 0;
        auto& counted = became == written::done ? wrote_.done : became == written::gone ? wrote_.gone : wrote_.failed;
        counted.add();
        if (became == written::refused || became == written::later)
            log::warning("an entry is not shared with other servers (store.remote)",
                         {{"id", one.id}, {"reason", write_trouble_}});
        queued_bytes_ -= one.bytes;
        one.left->set();
        queue_.pop_front();
    }
}

shared_store::written shared_store::written_by(const result<reply>& said, bool taken)
{
    if (taken) {
        writes_.succeeded();
        write_trouble_.clear();
        return written::done;
    }
    if (said) {
        writes_.succeeded();
        not_written("the cache answers with status " + std::to_string(said->status));
        return is_passing(said->status) ? written::later : written::refused;
    }
    const auto& why = said.error();
    if (why.code == errc::draining) return written::later;
    metrics_.add_counter(failures_name, failures_help, "why=\"" + std::string{name(why.code)} + "\"").add();
    // The entry was removed while it was read.
    if (why.code == errc::io) return written::gone;
    if (why.code != errc::queue_full) writes_.failed(clock::now());
    not_written(why.message);
    return written::later;
}

void shared_store::not_written(std::string why)
{
    if (!takes_nothing())
        log::warning("the cache of artifacts does not take entries (store.remote)",
                     {{"url", client_.where().text()}, {"reason", why}});
    write_trouble_ = std::move(why);
    not_written_at_ = clock::now();
}

bool shared_store::takes_nothing() const
{
    return !write_trouble_.empty() && (!queue_.empty() || clock::now() - not_written_at_ < settings_.pause);
}

asio::awaitable<shared_store::written> shared_store::put(std::string target, std::uint64_t bytes, bytes_reader read,
                                                         bool replace)
{
    if (!replace) {
        call look;
        look.method = "HEAD";
        look.target = target;
        look.until = clock::now() + settings_.write_timeout;
        look.patience = settings_.write_timeout;
        look.can_wait = true;
        const auto said = co_await client_.make(std::move(look));
        const bool is_there = said && said->status == 200 && said->length.value_or(bytes) == bytes;
        if (is_there || !said) co_return written_by(said, is_there);
    }
    call give;
    give.method = "PUT";
    give.target = std::move(target);
    give.until = clock::now() + settings_.write_timeout;
    give.patience = settings_.write_timeout;
    give.can_wait = true;
    give.body_bytes = bytes;
    give.read = std::move(read);
    const auto said = co_await client_.make(std::move(give));
    co_return written_by(said, said && is_success(said->status));
}

asio::awaitable<shared_store::written> shared_store::write(const pending& one)
{
    const auto made = local_.find(one.id);
    if (!made) co_return written::gone;
    shared_entry entry{.id = one.id, .files = {}, .record = {made->record.size(), to_hex(sha256_of(made->record))}};
    for (const auto& file : made->files) {
        entry.files.push_back({file.name, {file.bytes, file.sha256}});
        if (file.bytes == 0) continue;
        auto content = local_.open_content(one.id, file.name, false, false);
        if (!content || (*content)->bytes != file.bytes) co_return written::gone;
        const auto became =
            co_await put("/cas/" + file.sha256, file.bytes, reader_of(std::move(*content)), one.replace);
        if (became != written::done) co_return became;
    }
    if (!made->record.empty()) {
        const auto became =
            co_await put("/cas/" + entry.record.sha256, made->record.size(), reader_of(made->record), one.replace);
        if (became != written::done) co_return became;
    }
    // Last, so that who finds it finds the rest. Always: a fresh compile may have made other bytes.
    const auto document = write_document(entry, settings_.key);
    const auto became =
        co_await put("/ac/" + settings_.key.place_of(one.id), document.size(), reader_of(document), true);
    co_return became;
}

}  // namespace sandboxd::remote
