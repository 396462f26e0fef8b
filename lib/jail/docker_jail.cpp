// The jail that is a container of a Docker daemon: from `create` to `remove`, with the streams in between.
#include "async/event.hpp"
#include "async/readable.hpp"
#include "base/digest.hpp"
#include "base/log.hpp"
#include "init/descriptors.hpp"
#include "jail/bundle.hpp"
#include "jail/candidates.hpp"
#include "jail/docker.hpp"
#include "jail/docker_api.hpp"
#include "jail/first_words.hpp"
#include "jail/oci.hpp"
#include "jail/seccomp.hpp"
#include "jail/system_files.hpp"
#include "process/output_sink.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <utility>

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace json = boost::json;

namespace sandboxd::jail {
namespace {

// The image without files, which we make unless another one is configured.
constexpr const char* empty_name = "sandboxd-empty";
constexpr const char* empty_tag = "1";

// How long a killed container may take to disappear.
constexpr std::chrono::seconds burial{10};

// How long the server's end waits for the daemon in all. The next start does the rest.
constexpr std::chrono::seconds farewell{5};

bool is_good(const docker_api::reply& answer) { return answer.status >= 200 && answer.status < 300; }

error refused(const char* what, const docker_api::reply& answer)
{
    return {errc::unavailable, std::string{"Docker does not "} + what + ": " + docker_api::message_of(answer)};
}

// A nested member of an answer; null if it is missing.
json::value member(const docker_api::reply& answer, std::initializer_list<std::string_view> path)
{
    boost::system::error_code ec;
    json::value at = json::parse(answer.body, ec);
    for (const auto key : path) {
        auto* const object = ec ? nullptr : at.if_object();
        auto* const next = object ? object->if_contains(key) : nullptr;
        if (!next) return nullptr;
        json::value inner = std::move(*next);
        at = std::move(inner);
    }
    return at;
}

std::string text_member(const docker_api::reply& answer, std::initializer_list<std::string_view> path)
{
    const auto value = member(answer, path);
    return value.is_string() ? std::string{value.get_string()} : std::string{};
}

bool is_true(const docker_api::reply& answer, std::initializer_list<std::string_view> path)
{
    const auto value = member(answer, path);
    return value.is_bool() && value.get_bool();
}

// A socket, in its own directory, on which the container's init asks for the program's descriptors.
class descriptor_desk {
public:
    static result<std::unique_ptr<descriptor_desk>> open(const asio::any_io_executor& executor, std::string where,
                                                         std::vector<std::pair<int, int>> passed)
    {
        if (passed.size() > init::max_descriptors)
            return error{errc::unavailable, "a container can get at most 8 descriptors"};
        unique_fd listener{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
        // A path that is always short enough for a socket.
        const unique_fd directory{::open(where.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
        const auto name = "/proc/self/fd/" + std::to_string(directory.get()) + "/descriptors";
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, name.c_str(), sizeof address.sun_path - 1);
        if (!listener || !directory ||
            ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
            ::chmod(name.c_str(), 0666) != 0 || ::listen(listener.get(), 1) != 0)
            return system_error(errc::io, "cannot make a socket for descriptors in " + where);
        return std::make_unique<descriptor_desk>(executor, std::move(where), std::move(listener), std::move(passed));
    }

    descriptor_desk(const asio::any_io_executor& executor, std::string where, unique_fd listener,
                    std::vector<std::pair<int, int>> passed)
        : where_{std::move(where)}, listener_{executor, listener.release()}, passed_{std::move(passed)}
    {
    }

    std::string path() const { return where_ + "/descriptors"; }

    void close()
    {
        boost::system::error_code ignored;
        listener_.close(ignored);
    }

    // Serves only the first client, which is the init: nobody else is in there yet.
    asio::awaitable<void> serve()
    {
        const auto failed = co_await async::wait_readable(listener_);
        if (failed) co_return;
        const unique_fd peer{::accept4(listener_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
        close();
        if (!peer) co_return;
        init::descriptor_numbers numbers{};
        numbers.count = static_cast<std::uint32_t>(passed_.size());
        std::array<int, init::max_descriptors> ours{};
        for (std::size_t i = 0; i < passed_.size(); ++i) {
            ours[i] = passed_[i].first;
            numbers.number[i] = passed_[i].second;
        }
        iovec piece{&numbers, sizeof numbers};
        alignas(cmsghdr) char space[CMSG_SPACE(sizeof ours)]{};
        msghdr message{};
        message.msg_iov = &piece;
        message.msg_iovlen = 1;
        message.msg_control = space;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * passed_.size());
        cmsghdr* const head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int) * passed_.size());
        std::memcpy(CMSG_DATA(head), ours.data(), sizeof(int) * passed_.size());
        if (::sendmsg(peer.get(), &message, MSG_NOSIGNAL) < 0)
            log::warning("cannot pass descriptors into a container", {{"cause", std::strerror(errno)}});
    }

private:
    std::string where_;
    asio::posix::stream_descriptor listener_;
    std::vector<std::pair<int, int>> passed_;
};

// A running container. Its coroutines share this, like those of process::run.
struct job {
    job(const asio::any_io_executor& executor, const docker_api& with, std::string of, docker_api::stream streams,
        const process::child_limits& its_limits, async::stop_source& its_stop, process::output_taker* its_taker)
        : api{with},
          id{std::move(of)},
          socket{std::move(streams.socket)},
          early{std::move(streams.early)},
          limits{its_limits},
          stop{its_stop},
          timer{executor},
          running{executor},
          over{executor},
          sink{seen, its_limits.output_bytes, its_taker, its_stop}
    {
        timer.expires_at(never);
    }

    static constexpr auto never = std::chrono::steady_clock::time_point::max();

    void one_finished()
    {
        if (--unfinished > 0) return;
        over.set();
        timer.cancel();
    }

    const docker_api& api;
    std::string id;
    std::shared_ptr<docker_socket> socket;
    std::string early;
    process::child_limits limits;
    async::stop_source& stop;
    asio::steady_timer timer;  // in turn: the deadline, the end of the grace, the end of our patience
    async::event running;      // it was started, or starting failed
    async::event over;         // it and its streams have ended
    std::chrono::steady_clock::time_point began{};
    process::outcome seen{};
    process::output_sink sink;
    bool out_of_memory{false};
    std::optional<error> failed;
    int unfinished{2};  // the streams, the exit
};

// Reads from the attached stream, first the bytes that came with the header.
asio::awaitable<bool> read_exactly(job& j, char* into, std::size_t count)
{
    const auto first = std::min(count, j.early.size());
    std::copy_n(j.early.data(), first, into);
    j.early.erase(0, first);
    if (first == count) co_return true;
    const auto [ec, got] = co_await asio::async_read(*j.socket, asio::buffer(into + first, count - first),
                                                     asio::as_tuple(asio::use_awaitable));
    static_cast<void>(got);
    co_return !ec;
}

// Frames: one byte for the stream, three unused bytes, four bytes of length, big endian.
// https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach
asio::awaitable<void> drain(job& j)
{
    std::array<char, 16'384> block;
    unsigned char header[8];
    while (co_await read_exactly(j, reinterpret_cast<char*>(header), sizeof header)) {
        std::size_t left =
            (std::size_t{header[4]} << 24) | (std::size_t{header[5]} << 16) | (std::size_t{header[6]} << 8) | header[7];
        const auto which = header[0] == 2 ? process::output_stream::err : process::output_stream::out;
        while (left > 0) {
            const auto count = std::min(left, block.size());
            if (!co_await read_exactly(j, block.data(), count)) break;
            left -= count;
            co_await j.sink.take(which, std::string_view{block.data(), count});
        }
        if (left > 0) break;
    }
    j.one_finished();
}

asio::awaitable<void> feed(job& j, std::string text, bool then_end)
{
    co_await j.running.wait();
    if (!text.empty())
        // A program that does not read, or is gone, is not a failure.
        co_await asio::async_write(*j.socket, asio::buffer(text), asio::as_tuple(asio::use_awaitable));
    boost::system::error_code ignored;
    if (then_end) j.socket->shutdown(docker_socket::shutdown_send, ignored);
}

asio::awaitable<void> await_exit(job& j)
{
    co_await j.running.wait();
    while (!j.failed) {
        // Returns when the container has stopped, or after the API's timeout; the answer may also be lost.
        static_cast<void>(co_await j.api.call(http::verb::post, "/containers/" + j.id + "/wait"));
        const auto state = co_await j.api.call(http::verb::get, "/containers/" + j.id + "/json");
        if (!state) {
            j.failed = state.error();
        } else if (!is_good(*state)) {
            j.failed = refused("report a container's state", *state);
        } else if (!is_true(*state, {"State", "Running"})) {
            const auto code = member(*state, {"State", "ExitCode"});
            j.seen.status = process::exited{code.is_int64() ? static_cast<int>(code.get_int64()) : -1};
            j.out_of_memory = is_true(*state, {"State", "OOMKilled"});
            break;
        }
    }
    j.seen.wall = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - j.began);
    if (j.failed) {
        boost::system::error_code ignored;
        j.socket->close(ignored);
    }
    j.one_finished();
}

asio::awaitable<void> kill(const job& j, const char* signal)
{
    // A container that has ended in the meantime cannot be killed, and need not be.
    co_await j.api.call(http::verb::post, "/containers/" + j.id + "/kill?signal=" + signal);
}

// Enforces the deadline, and ends the container on a stop.
asio::awaitable<void> watch(job& j)
{
    enum class phase { runs, is_told, is_killed } now = phase::runs;
    while (!j.over.is_set()) {
        co_await j.timer.async_wait(asio::as_tuple(asio::use_awaitable));
        if (j.over.is_set() || j.timer.expiry() > std::chrono::steady_clock::now()) continue;
        j.timer.expires_at(job::never);
        if (!j.stop.requested()) {
            j.stop.request(errc::timeout);  // sets the timer
        } else if (now == phase::runs && j.limits.term_grace.count() > 0) {
            now = phase::is_told;
            j.timer.expires_after(j.limits.term_grace);
            co_await kill(j, "SIGTERM");
        } else if (now != phase::is_killed) {
            now = phase::is_killed;
            j.timer.expires_after(burial);
            co_await kill(j, "SIGKILL");
        } else {
            // We try to remove it nevertheless.
            boost::system::error_code ignored;
            j.socket->close(ignored);
            j.failed = error{errc::unavailable, "Docker cannot stop a container"};
            j.over.set();
        }
    }
}

asio::awaitable<void> start_and_watch(job& j)
{
    const auto started = co_await j.api.call(http::verb::post, "/containers/" + j.id + "/start");
    if (!started)
        j.failed = started.error();
    else if (!is_good(*started))
        j.failed = refused("start a container", *started);
    j.began = std::chrono::steady_clock::now();
    if (!j.stop.requested()) j.timer.expires_at(j.began + j.limits.wall);
    j.running.set();
    co_await watch(j);
}

class docker_jail final : public jail {
public:
    docker_jail(docker_api api, docker_setup setup, std::string containers, std::shared_ptr<uid_pool> pool,
                std::vector<std::string> walls, std::vector<std::string> warnings)
        : api_{std::move(api)},
          setup_{std::move(setup)},
          containers_{std::move(containers)},
          uids_{std::move(pool)},
          prefix_{std::string{container_prefix} + random_hex(8) + "-"},
          walls_{std::move(walls)},
          warnings_{std::move(warnings)}
    {
    }

    kind which() const noexcept override { return kind::docker; }
    std::vector<std::string> walls() const override { return walls_; }
    std::vector<std::string> warnings() const override { return warnings_; }
    std::optional<process::identity> owner() const noexcept override { return owner_beside(uids_.get()); }
    std::optional<uid_counts> uids() const noexcept override
    {
        return uids_ ? std::optional{uids_->counts()} : std::nullopt;
    }

    asio::awaitable<result<process::outcome>> run(spec what, process::child_limits limits, async::stop_source& stop,
                                                  process::output_taker* taker) override
    {
        // A separate coroutine without a cancellation slot: killing and removing must go on awaiting.
        const auto executor = co_await asio::this_coro::executor;
        auto apart = run_here(std::move(what), limits, stop, taker);
        auto uncancelled = asio::bind_cancellation_slot(asio::cancellation_slot{}, asio::use_awaitable);
        co_return co_await asio::co_spawn(executor, std::move(apart), std::move(uncancelled));
    }

private:
    asio::awaitable<result<process::outcome>> run_here(spec what, process::child_limits limits,
                                                       async::stop_source& stop, process::output_taker* taker)
    {
        process::outcome nothing{};
        nothing.status = process::signaled{SIGKILL};
        if (stop.requested()) co_return nothing;
        if (auto found = find_sources(what); !found) co_return found.error();
        docker_setup setup = setup_;
        setup.word = random_hex(16);
        // Held until the container is gone.
        std::optional<uid_pool::lease> lease;
        if (uids_) {
            auto taken = uids_->take();
            if (!taken) co_return taken.error();
            setup.who = lease.emplace(std::move(*taken)).who();
            if (auto given = give_mounts(what, setup.who); !given) co_return given.error();
        }
        const auto executor = co_await asio::this_coro::executor;
        const auto name = prefix_ + std::to_string(++made_);
        auto place = bundle::make(containers_, name, std::nullopt);
        if (!place) co_return place.error();
        if (auto own = put_own_files(what, setup, *place); !own) co_return own.error();
        std::unique_ptr<descriptor_desk> desk;
        if (!what.pass_fds.empty()) {
            auto opened = descriptor_desk::open(executor, place->path(), what.pass_fds);
            if (!opened) co_return opened.error();
            desk = std::move(*opened);
        }
        const auto body = json::serialize(docker_container(what, setup, desk ? desk->path() : std::string{}));
        auto end = std::chrono::steady_clock::time_point::max();
        const auto api = api_.until(end);
        const async::stop_callback on_end{stop, [&end](errc cause) {
                                              if (cause == errc::draining)
                                                  end = std::chrono::steady_clock::now() + farewell;
                                          }};
        const auto created = co_await api.call(http::verb::post, "/containers/create?name=" + name, body);
        if (!created) {
            // The daemon may still make it.
            owed_.push_back({name, std::chrono::steady_clock::now() + owed_for});
            co_return created.error();
        }
        if (!is_good(*created)) co_return refused("create a container", *created);
        const auto id = text_member(*created, {"Id"});
        if (id.empty()) co_return error{errc::unavailable, "Docker created a container without an id"};

        result<process::outcome> ran = std::move(nothing);
        if (!stop.requested()) ran = co_await run_container(api, id, what, setup.word, limits, stop, taker, desk.get());
        const auto removed = co_await api.call(http::verb::delete_, "/containers/" + id + "?force=1&v=1");
        if (!removed || (!is_good(*removed) && removed->status != 404))
            log::error("cannot remove a container",
                       {{"id", id}, {"cause", removed ? docker_api::message_of(*removed) : removed.error().message}});
        else
            co_await remove_owed(api);
        co_return ran;
    }

    // Removes containers whose creation was not answered in time.
    asio::awaitable<void> remove_owed(const docker_api& api)
    {
        auto some = std::move(owed_);
        owed_.clear();
        for (auto& one : some) {
            const auto removed = co_await api.call(http::verb::delete_, "/containers/" + one.name + "?force=1&v=1");
            const bool gone = removed && is_good(*removed);
            if (!gone && std::chrono::steady_clock::now() < one.until) owed_.push_back(std::move(one));
        }
    }

    asio::awaitable<result<process::outcome>> run_container(const docker_api& api, const std::string& id, spec& what,
                                                            const std::string& word, process::child_limits limits,
                                                            async::stop_source& stop, process::output_taker* taker,
                                                            descriptor_desk* desk)
    {
        auto attached = co_await api.attach("/containers/" + id + "/attach?stream=1&stdin=1&stdout=1&stderr=1");
        if (!attached) co_return attached.error();
        const auto executor = co_await asio::this_coro::executor;
        // What the engine cannot build it says itself (start_and_watch); the init has only this way.
        std::optional<first_words> first;
        if (taker) taker = &first.emplace(*taker, std::vector{beginning_of_init(word)});
        job j{executor, api, id, std::move(*attached), limits, stop, taker};
        const async::stop_callback on_stop{stop, [&j](errc) { j.timer.expires_at(std::chrono::steady_clock::now()); }};
        auto all = asio::experimental::make_parallel_group(
            asio::co_spawn(executor, drain(j), asio::deferred), asio::co_spawn(executor, await_exit(j), asio::deferred),
            asio::co_spawn(executor, serve(desk, j), asio::deferred),
            asio::co_spawn(executor, feed(j, std::move(what.stdin_text), what.as_pid_1), asio::deferred),
            asio::co_spawn(executor, start_and_watch(j), asio::deferred));
        const auto [order, drain_failed, exit_failed, serve_failed, feed_failed, watch_failed] =
            co_await all.async_wait(asio::experimental::wait_for_all(), asio::use_awaitable);
        static_cast<void>(order);
        for (const auto& thrown : {drain_failed, exit_failed, serve_failed, feed_failed, watch_failed})
            if (thrown) std::rethrow_exception(thrown);
        if (j.failed) co_return std::move(*j.failed);
        if (j.out_of_memory) stop.request(errc::memory_limit);
        if (!stop.requested()) {
            if (auto told = words_of_init(first ? first->text() : j.seen.err + j.seen.out, word)) {
                error not_built{errc::unavailable, std::move(*told)};
                co_return not_built;
            }
        }
        if (first) co_await first->pass_on();
        co_return std::move(j.seen);
    }

    static asio::awaitable<void> serve(descriptor_desk* desk, job& j)
    {
        if (!desk) co_return;
        auto either = asio::experimental::make_parallel_group(
            asio::co_spawn(co_await asio::this_coro::executor, desk->serve(), asio::deferred),
            asio::co_spawn(co_await asio::this_coro::executor, j.over.wait(), asio::deferred));
        co_await either.async_wait(asio::experimental::wait_for_one(), asio::use_awaitable);
        desk->close();
    }

    // The container's own files: those below /etc, and copies of programs that its uid would otherwise own. Only the
    // mount's flags would protect their mode and their bytes.
    static result<void> put_own_files(spec& what, docker_setup& setup, const bundle& into)
    {
        const auto outside = [&into](std::string_view path) { return into.path() + "/rootfs" + std::string{path}; };
        // The daemon would mount its own hosts, hostname and resolv.conf, which shows the host's resolvers.
        const bool all = std::exchange(what.has_system_files, true);
        auto files = system_files(what, setup.who);
        if (!all)
            std::erase_if(files, [](const system_file& one) {
                return one.path != "/etc/hosts" && one.path != "/etc/resolv.conf";
            });
        files.push_back({"/etc/hostname", what.hostname + "\n"});
        for (const auto& file : files) {
            if (auto put = into.put(file.path, file.text); !put) return put;
            what.mounts.push_back({.source = outside(file.path), .target = file.path});
        }
        const auto take_copy = [&](std::string& source, std::string_view target) -> result<void> {
            struct stat seen{};
            if (::stat(source.c_str(), &seen) != 0 || ::access(source.c_str(), X_OK) != 0)
                return system_error(errc::unavailable, source + " cannot be executed");
            if (seen.st_uid != setup.who.uid) return {};
            if (auto put = into.put_program(target, source); !put) return put;
            source = outside(target);
            return {};
        };
        for (mount& one : what.mounts) {
            if (!one.own_copy) continue;
            if (auto taken = take_copy(one.source, one.target); !taken) return taken;
        }
        return take_copy(setup.init, init_inside);
    }

    // The daemon looks them up as root and does not know which are optional.
    static result<void> find_sources(spec& what)
    {
        std::vector<mount> found;
        for (mount& one : what.mounts) {
            char real[PATH_MAX];
            if (::realpath(one.source.c_str(), real) == nullptr) {
                if (one.optional) continue;
                return system_error(errc::unavailable, "cannot mount " + one.source);
            }
            one.source = real;
            found.push_back(std::move(one));
        }
        what.mounts = std::move(found);
        return {};
    }

    docker_api api_;
    docker_setup setup_;
    std::string containers_;
    std::shared_ptr<uid_pool> uids_;
    std::string prefix_;
    std::uint64_t made_{0};
    // A container whose creation was not answered, and until when to look for it.
    struct owed {
        std::string name;
        std::chrono::steady_clock::time_point until;
    };
    static constexpr std::chrono::minutes owed_for{10};
    std::vector<owed> owed_;
    std::vector<std::string> walls_;
    std::vector<std::string> warnings_;
};

asio::awaitable<result<void>> remove_leftovers(const docker_api& api, const std::string& server)
{
    const json::object filter{{"label", json::array{json::string{std::string{docker_label} + "=" + server}}}};
    const auto list = co_await api.call(http::verb::get,
                                        "/containers/json?all=1&filters=" + percent_encoded(json::serialize(filter)));
    if (!list) co_return list.error();
    if (!is_good(*list)) co_return refused("list its containers", *list);
    const auto found = member(*list, {});
    std::size_t count = 0;
    if (found.is_array()) {
        for (const auto& one : found.get_array()) {
            const auto* const id = one.is_object() ? one.get_object().if_contains("Id") : nullptr;
            if (!id || !id->is_string()) continue;
            co_await api.call(http::verb::delete_, "/containers/" + std::string{id->get_string()} + "?force=1&v=1");
            ++count;
        }
    }
    if (count > 0) log::warning("removed containers of an earlier server", {{"count", count}});
    co_return result<void>{};
}

// The image to use; makes the empty one if it is missing.
asio::awaitable<result<std::string>> find_image(const docker_api& api, const std::string& wanted)
{
    const auto name = wanted.empty() ? std::string{empty_name} + ":" + empty_tag : wanted;
    const auto there = co_await api.call(http::verb::get, "/images/" + name + "/json");
    if (!there) co_return there.error();
    if (is_good(*there)) co_return name;
    if (!wanted.empty())
        co_return error{errc::unavailable, "there is no image " + wanted + " (" + docker_api::message_of(*there) +
                                               "); pull or import it, or leave docker.image empty"};
    const auto target = std::string{"/images/create?fromSrc=-&repo="} + empty_name + "&tag=" + empty_tag;
    const auto made = co_await api.call(http::verb::post, target, empty_image(), "application/x-tar");
    if (!made) co_return made.error();
    // The status is always 200; errors are in the progress report.
    if (!is_good(*made) || made->body.find("\"error\"") != std::string::npos)
        co_return refused("import an image", *made);
    co_return name;
}

}  // namespace

asio::awaitable<result<candidates>> docker_candidates(const jail_settings& wanted, std::shared_ptr<uid_pool> pool)
{
    const auto refuse = [](std::string why) { return error{errc::unavailable, std::move(why)}; };
    if (::access(wanted.init_path.c_str(), X_OK) != 0)
        co_return refuse("sandboxd-init is missing (" + wanted.init_path + "); set faas.initPath");
    if (wanted.containers_directory.empty()) co_return refuse("there is no directory for containers");
    if (auto made = make_containers_directory(wanted.containers_directory); !made) co_return made.error();

    docker_api api{wanted.docker.socket_path, wanted.docker.timeout};
    const auto version = co_await api.call(http::verb::get, "/version");
    if (!version) co_return version.error();
    if (!is_good(*version)) co_return refused("report its version", *version);
    const auto latest = text_member(*version, {"ApiVersion"});
    const auto spoken = choose_api(text_member(*version, {"MinAPIVersion"}), latest);
    if (spoken.empty())
        co_return refuse("the Docker daemon supports API " + latest +
                         "; version 1.40 or later is needed (Docker 19.03)");
    api.speak(spoken);
    const auto info = co_await api.call(http::verb::get, "/info");
    if (!info) co_return info.error();
    if (!is_good(*info)) co_return refused("report its settings", *info);
    if (info->body.find("name=rootless") != std::string::npos)
        co_return refuse(
            "the Docker daemon is rootless: job directories cannot be given to its ids; use a daemon that runs as root");

    const auto server = wanted.instance.empty() ? wanted.containers_directory : wanted.instance;
    if (auto removed = co_await remove_leftovers(api, server); !removed) co_return removed.error();
    for (const auto& name : bundles_in(wanted.containers_directory)) {
        kill_container(name);
        static_cast<void>(bundle::adopt(wanted.containers_directory, name));
    }
    auto image = co_await find_image(api, wanted.docker.image);
    if (!image) co_return image.error();

    const bool root = ::geteuid() == 0;
    docker_setup setup;
    setup.image = *image;
    auto filters = make_container_filters();
    if (!filters) co_return filters.error();
    setup.filters = std::move(*filters);
    char real[PATH_MAX];
    setup.init = ::realpath(wanted.init_path.c_str(), real) ? real : wanted.init_path;
    setup.server = server;
    setup.who = {::geteuid(), ::getegid()};

    std::vector<std::string> walls{
        "pid namespace",           "mount namespace", "ipc namespace",     "uts namespace", "network namespace",
        "unprivileged uid inside", "no capabilities", "no new privileges", "seccomp",       "rlimits"};
    if (root) walls.emplace_back("unprivileged uid outside");
    std::vector<std::string> warnings;
    const bool memory = is_true(*info, {"MemoryLimit"});
    const bool pids = is_true(*info, {"PidsLimit"});
    if (pids) walls.emplace_back("process limit");
    if (memory && pids)
        walls.emplace_back("memory and process limits of the whole job (Docker's cgroup)");
    else
        warnings.emplace_back("the Docker daemon cannot limit " + std::string{memory ? "the processes" : "the memory"} +
                              " of a container");

    candidate only;
    only.expected.uids = pool ? pool->range() : uid_range{setup.who.uid, 1};
    only.expected.gid = pool ? pool->range().group() : setup.who.gid;
    only.make = [api, setup, containers = wanted.containers_directory, pool, walls,
                 warnings](std::vector<std::string> more) {
        more.insert(more.begin(), warnings.begin(), warnings.end());
        return std::make_unique<docker_jail>(api, setup, containers, pool, walls, std::move(more));
    };
    candidates made;
    made.push_back(std::move(only));
    co_return made;
}

}  // namespace sandboxd::jail
