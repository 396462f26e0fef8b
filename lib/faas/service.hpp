// Deployments: clients' programs that listen, each in its own jail with its own network, started on demand and
// stopped when idle.
//
//     deploy → check → install packages → files and manifest on disk → start
//     request → enter: running? else one start for all waiting → connect, through sandboxd-init → the program
//
// When a deployment is stopped because it is idle, the runtime of its next program boots in advance, and waits in its
// jail before the program's first line, unless something that a client chose would act on it there:
//
//     stopped ─▶ in idle time: a jail, the runtime boots, waits ─▶ request: the word ─▶ the program
//
// The service knows no HTTP: it hands out connections. After a restart of the server, the deployments on disk exist
// again, stopped.
//
// Where servers share their deployments (share_with), those here are copies, and one server at a time has the lease of
// each, its owner: only it changes the files and has the log, and it runs the program.
//
//     settle: the lease is here? ─▶ enter, update, remove, logs
//               ├ another server's ─▶ its address: the request goes there
//               ╰ nobody's ─▶ it is taken, and the files are brought if they are not here
//
// The lease is renewed while the deployment runs or crashes, and given back when it is stopped.
//
// Of a deployment that may run on several servers, one that has passed many requests on at once takes a seat, and
// answers further ones itself:
//
//     pass_on: many are under way? ─▶ in the background: a seat, the files, the program ─▶ has_seat, enter
//
// A seat is renewed like a lease. It ends with its program, when no request comes, and when there is a newer revision.
#pragma once

#include "async/event.hpp"
#include "async/single_flight.hpp"
#include "async/stop.hpp"
#include "async/task_group.hpp"
#include "base/client_key.hpp"
#include "base/known_places.hpp"
#include "base/metrics.hpp"
#include "faas/control.hpp"
#include "faas/files.hpp"
#include "faas/fleet.hpp"
#include "faas/installer.hpp"
#include "faas/lifecycle.hpp"
#include "faas/log_ring.hpp"
#include "faas/manifest.hpp"
#include "faas/plan.hpp"
#include "jail/jail.hpp"
#include "programs/catalog.hpp"

#include <boost/asio/awaitable.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sandboxd::faas {

struct service_settings {
    std::filesystem::path root;  // <baseDir>/deployments
    std::string init;            // sandboxd-init, absolute
    std::size_t max_deployments{64};
    file_limits files;
    std::int64_t default_memory_mb{256};
    std::int64_t max_memory_mb{1024};
    jail::job_limits limits;  // except memory
    std::chrono::milliseconds start_timeout{30'000};
    std::chrono::milliseconds stop_grace{2'000};    // from SIGTERM to the end by force
    std::chrono::milliseconds drain_grace{10'000};  // for requests to the old program of a restart
    std::chrono::milliseconds connect_timeout{5'000};
    std::size_t max_requests{128};  // active in one deployment; then too_many_requests
    std::int64_t max_instances{8};  // servers that may run one deployment at the same time, as far as it may say
    // Under way from here to one deployment at its owner; with one more a program is started here. 0: never.
    std::size_t scale_up_requests{16};
    std::uint64_t warm_bytes{0};  // memory of the runtimes that wait for stopped deployments; 0: none does
    std::size_t processors{1};    // no runtime boots in advance while half of them are busy
    // Jobs of the server, running or queued; empty: none.
    std::function<std::size_t()> jobs{};
    // Whether the runtimes that wait must go, because others need the memory; asked every second. Empty: never.
    std::function<bool()> memory_is_short{};
    std::chrono::milliseconds seat_idle{60'000};  // without a request for it; at most as long as the deployment's idle
    std::size_t known_places{4096};               // cluster.maxKnownPlaces
    std::size_t log_bytes{256 * 1024};
    std::size_t log_bytes_per_sec{1u << 20};  // a program that prints faster is slowed down
    lifecycle_settings life;                  // except idle
};

struct deploy_request {
    std::string runtime;
    std::string code;
    std::string entry_point;
    std::vector<deployment_file> files;
    std::vector<std::pair<std::string, std::string>> env;
    std::optional<std::int64_t> memory_mb;
    std::optional<std::chrono::milliseconds> idle;
    std::optional<std::int64_t> max_instances{};
    client_key client{};  // whom installs for it count for
    std::string owner{};  // the tenant; empty: nobody needs a key
    // Called when its files are stored, and the deployment is there. Empty: nobody asks.
    std::function<void()> stored{};
};

struct deployment_info {
    std::string id;
    std::string owner;
    std::string sandbox_id;
    std::string runtime;
    std::string entry_point;
    faas::status status{};
    std::string message;        // why it is not running, if that needs an explanation
    std::optional<errc> fault;  // the failure, if there was one: start_failed, start_timeout, install_failed, …
    std::string last_exit;      // "exit 1", "signal 9"; empty: it has not ended yet
    std::int64_t created{0};
    std::int64_t memory_mb{0};
    std::uint64_t starts{0};
    std::uint64_t restarts{0};  // starts after a crash
    std::optional<std::chrono::milliseconds> next_start_in;
    std::chrono::milliseconds idle{0};
    std::int64_t max_instances{1};
    std::size_t requests{0};    // under way
    std::uint64_t log_id{0};    // of the newest line
    std::uint64_t revision{0};  // 0: servers do not share their deployments
    std::size_t instances{1};   // its owner, and the servers that have a seat, as far as this one knows
};

struct update_request {
    std::vector<deployment_file> files;
    bool restart{false};
    client_key client{};                     // whom installs for it count for
    std::function<void()> stored{};          // as of a deploy_request
    std::optional<std::uint64_t> only_if{};  // the revision that it is to change
    std::optional<std::uint64_t> back_to{};  // a former revision whose files come back, instead of `files`
    // Asked whether so many bytes of `back_to` may be kept, as soon as they are known; its error is the update's.
    // Empty: they may.
    std::function<boost::asio::awaitable<result<void>>(std::uint64_t bytes)> admit{};
};

struct update_result {
    bool restarted{false};
    std::optional<error> restart_error;  // why the new program did not take over; the old one stays
};

struct deployment;    // deployment.hpp
struct premises;      // deployment.hpp
struct held_seat;     // deployment.hpp
struct warm_program;  // deployment.hpp
class instance;       // instance.hpp

class service final : private package_user {
public:
    service(boost::asio::any_io_executor executor, async::task_group& tasks, jail::jail& wall,
            const programs::catalog& catalog, service_settings how, installer_settings packages,
            metrics::registry& metrics);
    ~service();

    // Before `open`. The fleet outlives the service.
    void share_with(fleet& others) noexcept { others_ = &others; }
    bool is_shared() const noexcept { return others_ != nullptr; }

    // Finds the deployments on disk. Blocks; for the start. Errors: io.
    result<void> open();
    void start();
    // Gives all leases back, and takes none from now on, so that other servers start what runs here; the programs here
    // end when their requests are answered, or after `drain_grace`. Does nothing where deployments are not shared.
    void hand_over();
    // Ends every program and starts none from now on. The service's tasks end soon afterwards.
    void close();

    // Which server runs the deployment: its address; empty: this one, which has the lease now, and with `brings` also
    // the files. Whoever goes on at once will find it so. Without a fleet: this one, whatever the id. Errors:
    // not_found, index_unavailable, draining, io, payload_too_large, invalid_request and queue_full (of the files that
    // are brought), the cause of `stop`.
    boost::asio::awaitable<result<std::string>> settle(std::string id, bool brings, async::stop_source& stop);
    // The longest that the lease of a server that says nothing more lasts, and how many requests may wait for its end.
    std::chrono::milliseconds lease_time() const
    {
        return others_ ? others_->lease_time() : std::chrono::milliseconds{0};
    }
    // Asks the server that runs it, which this one cannot reach, to let another one run it.
    boost::asio::awaitable<void> ask_for(std::string id);
    std::size_t most_waiting() const noexcept { return settings_.life.max_waiting; }

    // Whether this server answers requests to the program though another one has the lease: it has a seat, and its
    // program is reachable and has room for one more. Whoever enters at once finds it so.
    bool has_seat(const std::string& id) const;

    // A request to the program, on its way to the owner: it counts as long as this lives.
    class passage {
    public:
        // Null: it is not counted.
        explicit passage(std::size_t* among) : among_{among}
        {
            if (among_) ++*among_;
        }
        passage(passage&& other) noexcept : among_{std::exchange(other.among_, nullptr)} {}
        passage& operator=(passage&&) = delete;
        ~passage()
        {
            if (among_) --*among_;
        }

    private:
        std::size_t* among_;
    };
    // Counts it. Are there many already, this server begins to take a seat; nobody waits for that. `client`: as of
    // `enter`. Call it after `settle`.
    passage pass_on(const std::string& id, const client_key& client);

    // Makes a deployment and starts it; returns when it is reachable or has ended. If it does not start, the info's
    // status says so: the deployment exists nevertheless, with its log. Errors: invalid_request, unprocessable,
    // payload_too_large, install_failed, queue_full (the limit of deployments or of waiting installs is reached),
    // queue_timeout, draining, io, the cause of `stop`; then there is no deployment.
    boost::asio::awaitable<result<deployment_info>> deploy(deploy_request what, async::stop_source& stop);

    // Of what is here.
    std::optional<deployment_info> find(const std::string& id) const;

    // The following ask the fleet, where there is one. Errors: index_unavailable.

    // Those of this owner, or all; in the order of their creation.
    boost::asio::awaitable<result<std::vector<deployment_info>>> list(std::optional<std::string> owner);
    struct sight {
        deployment_info info;
        std::string server;  // which knows more; empty: none, or this one
    };
    // Errors: not_found.
    boost::asio::awaitable<result<sight>> look(std::string id);
    // Whose it is; of what is here without asking. Errors: not_found.
    boost::asio::awaitable<result<std::string>> owner_of(std::string id);
    // How many deployments are this owner's, and the bytes of their files. Errors: io.
    using holding = fleet::holding;
    boost::asio::awaitable<result<holding>> held_by(std::string owner);
    // The id of the deployment with this sandbox_id. Errors: not_found.
    boost::asio::awaitable<result<std::string>> by_sandbox(std::string sandbox_id);

    // Adds and replaces files, all or none. With `restart` a new program starts beside the old one, which ends when
    // the new one is reachable and its own requests are answered. Errors: not_found, invalid_request, unprocessable,
    // payload_too_large, install_failed, queue_full and queue_timeout (of installs), too_many_requests (another update
    // is running), io; with a fleet also precondition_failed (it is of another revision), conflict (another server has
    // changed it), index_unavailable. Without one `only_if` and `back_to` are unprocessable.
    boost::asio::awaitable<result<update_result>> update(std::string id, update_request what, async::stop_source& stop);

    // Returns when its processes and files are gone. Errors: not_found, io, index_unavailable (it is still there).
    boost::asio::awaitable<result<void>> remove(std::string id);

    // The lines after number `after`, at most `most` of them, the newest. Errors: not_found.
    result<std::vector<log_line>> logs(const std::string& id, std::uint64_t after, std::size_t most) const;
    // The same for followers: each line is rendered once for all of them. Errors: not_found.
    result<log_ring::told_lines> told_logs(const std::string& id, std::uint64_t after, std::size_t most,
                                           log_renderer render) const;
    // Waits until there is a line after that number, or `patience` is over. False when `stop` was requested, or the
    // deployment is gone.
    boost::asio::awaitable<bool> await_log(std::string id, std::uint64_t after, std::chrono::milliseconds patience,
                                           async::stop_source& stop);

    // Holds a place for one request in a running deployment.
    class lease {
    public:
        lease(service& owner, std::shared_ptr<deployment> of);
        lease(lease&& other) noexcept = default;
        lease& operator=(lease&&) = delete;
        ~lease();

        // Changes with each new program: connections of another number lead to a program that is finishing.
        std::uint64_t generation() const noexcept;
        const std::string& id() const noexcept;
        // Requested when the program's processes are gone.
        async::stop_source& ended() noexcept;
        // Connects to the program. Errors: start_failed (it has ended), start_timeout (it does not accept), the cause
        // of `stop`.
        boost::asio::awaitable<result<stream_socket>> connect(async::stop_source& stop);

    private:
        service* owner_;
        std::shared_ptr<deployment> of_;
        std::shared_ptr<instance> in_;
    };

    // Enters a deployment and starts it if necessary; by a seat only where its program runs. `client` counts for what
    // has to be installed for it, if it is not known who deployed it. Errors: not_found, queue_full (too many wait for
    // its start), too_many_requests, start_failed, start_timeout, draining, index_unavailable (the lease is not here,
    // or not any more), the cause of `stop`.
    boost::asio::awaitable<result<lease>> enter(std::string id, client_key client, async::stop_source& stop);

    std::size_t size() const noexcept { return deployments_.size(); }

private:
    result<plan> plan_for(const manifest& what, const std::vector<std::string>& paths,
                          const std::string& package_json) const;
    std::string package_key(const deployment& d) const;
    package_needs needs() const override;
    void gives_up(const std::string& package_key) override;

    boost::asio::awaitable<void> make_room(std::shared_ptr<deployment> d);
    boost::asio::awaitable<result<void>> launch(std::shared_ptr<deployment> d, async::stop_source& stop,
                                                std::shared_ptr<instance>& started);
    // Installs its packages and begins the jail of a program, which starts at once, or by the word of `waits`.
    // `is_told`: the start was told and counted before.
    boost::asio::awaitable<result<std::shared_ptr<instance>>> begin_program(std::shared_ptr<deployment> d,
                                                                            async::stop_source& stop, bool is_told,
                                                                            warm_program* waits = nullptr);
    void tell_start(deployment& d);
    // Waits until a program that has begun is reachable.
    boost::asio::awaitable<result<void>> reach(std::shared_ptr<deployment> d, std::shared_ptr<instance> i,
                                               async::stop_source& stop);
    boost::asio::awaitable<std::optional<error>> replace(std::shared_ptr<deployment> d);
    boost::asio::awaitable<void> run(std::shared_ptr<deployment> d, std::shared_ptr<instance> i, jail::spec spec,
                                     unique_fd theirs);
    boost::asio::awaitable<result<void>> await_ready(std::shared_ptr<deployment> d, std::shared_ptr<instance> i);
    boost::asio::awaitable<result<file_store::survey>> files_of(std::shared_ptr<deployment> d);
    boost::asio::awaitable<void> start_now(std::shared_ptr<deployment> d);
    boost::asio::awaitable<void> restart_later(std::shared_ptr<deployment> d);
    boost::asio::awaitable<void> tick();
    void ended(const std::shared_ptr<deployment>& d, const instance& i);
    void crashed(const std::shared_ptr<deployment>& d);
    void begin_start(const std::shared_ptr<deployment>& d, bool told = false);
    void retire(const std::shared_ptr<deployment>& d, std::shared_ptr<instance> i, std::chrono::milliseconds drain);
    deployment_info info_of(const deployment& d) const;
    std::shared_ptr<deployment> get(const std::string& id) const;
    std::shared_ptr<deployment> add(manifest what);
    std::shared_ptr<premises> premises_of(const std::string& id);
    boost::asio::awaitable<result<void>> remove_here(std::shared_ptr<deployment> d);

    // ---- Programs that wait; warm.cpp.
    void add_warm_metrics(metrics::registry& metrics);
    // Boots the runtime of a deployment's next program, soon, if it may wait and there is place.
    void warm_up_later(const std::shared_ptr<deployment>& d);
    // Begins one, and follows it until it is taken, dropped or lost.
    boost::asio::awaitable<void> keep_warm(std::shared_ptr<deployment> d);
    boost::asio::awaitable<void> follow(std::shared_ptr<deployment> d, std::shared_ptr<warm_program> its);
    // Null: none waits.
    boost::asio::awaitable<std::shared_ptr<warm_program>> begin_in_idle_time(std::shared_ptr<deployment> d);
    // Errors: unavailable (not now, or never), and those of a start.
    boost::asio::awaitable<result<std::shared_ptr<warm_program>>> begin_to_wait(std::shared_ptr<deployment> d);
    bool may_wait(const deployment& d) const;
    bool may_boot() const;
    std::uint64_t waiting_bytes() const;
    // Drops those that have waited longest, until the others fit.
    void keep_warm_budget();
    void drop_warm(deployment& d);
    // Its files have changed, or change from here on: what waits does not have them.
    void drop_outdated(deployment& d);
    // Starts the program that waits. Nullopt: there is none, or it was lost before it began; `started` is null then.
    // `is_told`: is set when the start was told.
    boost::asio::awaitable<std::optional<result<void>>> launch_warm(std::shared_ptr<deployment> d,
                                                                    async::stop_source& stop,
                                                                    std::shared_ptr<instance>& started, bool& is_told);

    // ---- With a fleet; shared.cpp.
    boost::asio::awaitable<result<std::string>> take(std::string id, bool brings);
    // The copy here becomes this revision, unless the lease is here. One at a time of a deployment.
    boost::asio::awaitable<result<std::shared_ptr<deployment>>> bring(std::string id, std::uint64_t revision);
    boost::asio::awaitable<result<std::shared_ptr<deployment>>> bring_now(std::string id, std::uint64_t revision);
    // Removes the copy that nobody has used for the longest time, of those that the index has, too. False: there is
    // none, or the index is away.
    boost::asio::awaitable<bool> make_place();
    bool is_unused(const deployment& d) const;
    // The index may have kept it though it did not say so, and the client was told that it is not there.
    void forget_later(std::string id);
    boost::asio::awaitable<void> keep_forgetting(std::string id);
    bool has_no_place() const noexcept
    {
        return deployments_.size() + deploying_ + removing_ >= settings_.max_deployments;
    }
    void begin_hold(const std::shared_ptr<deployment>& d);
    boost::asio::awaitable<void> hold(std::shared_ptr<deployment> d, std::shared_ptr<async::event> lease);
    boost::asio::awaitable<bool> renew(std::shared_ptr<deployment> d, async::event& lease);
    bool needs_lease(const deployment& d) const;
    // The lease, or the seat, is not here any more: the program ends, the copy stays.
    void lose(const std::shared_ptr<deployment>& d);
    // What the index has lost, or never knew.
    boost::asio::awaitable<result<fleet::offered>> offer(std::shared_ptr<deployment> d, bool here);
    boost::asio::awaitable<void> offer_all();
    boost::asio::awaitable<bool> offer_copy(std::shared_ptr<deployment> d);
    // Everything that an update would leave.
    boost::asio::awaitable<result<std::vector<deployment_file>>> files_with(std::string id,
                                                                            std::vector<deployment_file> newer);

    // ---- Seats; seats.cpp.
    // The server that has the lease, as it was known last, and of which deployment.
    struct known_owner {
        std::string server;
        std::uint64_t revision{0};
        std::int64_t max_instances{1};
    };
    // What this server does about the load of a deployment that is another one's.
    struct scaling {
        std::size_t passing{0};     // requests on their way to the owner
        bool is_trying{false};      // to take a seat
        std::uint64_t revision{0};  // the last that it has tried to run
        unsigned failures{0};       // in a row, of that
        clock::time_point next{};   // no earlier it tries again
    };
    // What came of a seat.
    enum class seat_event : std::uint8_t {
        taken,
        refused,     // there are none, or of another revision, or no place for one here
        failed,      // the files cannot be brought, or the program does not run
        idle,        // no request came
        revised,     // there is a newer revision
        deleted,     // the deployment was deleted
        lost,        // the index does not know it
        unheard,     // the index says nothing: when it was asked for, or for as long as it lasts
        promoted,    // the lease is here instead
        given_back,  // this server ends, or needs it for nothing
    };
    void add_seat_metrics(metrics::registry& metrics);
    void count(seat_event what) { seat_events_[static_cast<std::size_t>(what)]->add(); }
    // Seats take half of the places here at most: load of some deployments must not keep this server from running
    // others.
    bool has_place_for_seat() const noexcept { return seats_.size() < settings_.max_deployments / 2; }
    void scale_up(const std::string& id, const known_owner& of, scaling& its, const client_key& client);
    boost::asio::awaitable<void> take_seat(std::string id, known_owner of, client_key client);
    boost::asio::awaitable<void> keep_seat(std::string id, std::shared_ptr<held_seat> seat);
    boost::asio::awaitable<bool> renew_seat(std::string id, std::shared_ptr<held_seat> seat);
    // From here on it is not this server's. The program that runs by it, and the index, are the caller's.
    void drop_seat(const std::string& id, const std::shared_ptr<held_seat>& seat, seat_event why);
    // The same with the program, which ends when its requests are answered, and with the index, unless that said so.
    void end_seat(const std::string& id, const std::shared_ptr<held_seat>& seat, seat_event why);
    // The same, and this server waits before it tries again.
    void fail_seat(const std::string& id, const std::shared_ptr<held_seat>& seat);
    bool is_idle(const deployment& d, clock::time_point now) const;
    void end_unused_seats();

    boost::asio::any_io_executor executor_;
    async::task_group& tasks_;
    jail::jail& wall_;
    const programs::catalog& catalog_;
    service_settings settings_;
    installer installer_;
    std::optional<file_store> store_;
    fleet* others_{nullptr};
    bool handing_over_{false};
    async::single_flight<result<std::string>> settling_;       // by id, and whether files are brought
    basic_known_places<known_owner> servers_;                  // by id; also for when the index is away
    std::map<std::string, scaling> scaling_;                   // by id, of those that may run on several servers
    std::map<std::string, std::shared_ptr<held_seat>> seats_;  // by id
    std::array<metrics::counter*, 10> seat_events_{};
    std::map<std::string, std::shared_ptr<deployment>> deployments_;
    std::map<std::string, std::weak_ptr<premises>> premises_;  // of those, and of records that end
    std::map<std::string, std::string> sandboxes_;             // sandbox_id → id
    std::size_t deploying_{0};
    std::size_t removing_{0};
    std::size_t forgetting_{0};
    std::list<std::shared_ptr<instance>> instances_;
    // A set of packages that a program about to start needs.
    struct wanted_set {
        std::string key;
        client_key client;
    };
    std::list<wanted_set*> wanted_sets_;
    async::event closing_;
    async::stop_source stop_;
    std::uint64_t generations_{0};
    bool booting_{false};  // a runtime that will wait
    struct warm_counters {
        metrics::counter* hits{nullptr};
        metrics::counter* misses{nullptr};
        metrics::counter* over_budget{nullptr};
        metrics::counter* under_pressure{nullptr};
        metrics::counter* lost{nullptr};
        metrics::counter* outdated{nullptr};
    } warm_;
    metrics::counter& starts_;
    metrics::counter& crashes_;
    metrics::counter& idle_stops_;
    metrics::counter& requests_;
    metrics::histogram& start_seconds_;
};

}  // namespace sandboxd::faas
