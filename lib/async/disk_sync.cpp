#include "async/disk_sync.hpp"

#include "async/readable.hpp"
#include "base/unique_fd.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <linux/aio_abi.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <ctime>
#include <map>
#include <memory>
#include <optional>
#include <utility>

namespace sandboxd::async {

namespace asio = boost::asio;

namespace {

struct sync_ticket {
    std::optional<int> error;  // once it is over
};

// The process' queue in the kernel. The C library has no functions for these calls.
class sync_queue {
public:
    // `told` becomes readable when the sync is over. Returns null when the kernel refuses the request.
    std::shared_ptr<sync_ticket> submit(int file, int told)
    {
        if (context_ == 0 && ::syscall(SYS_io_setup, most_under_way, &context_) != 0) {
            context_ = 0;
            return nullptr;
        }
        const auto number = next_++;
        iocb wanted{};
        wanted.aio_data = number;
        wanted.aio_lio_opcode = IOCB_CMD_FSYNC;
        wanted.aio_fildes = static_cast<std::uint32_t>(file);
        wanted.aio_flags = IOCB_FLAG_RESFD;
        wanted.aio_resfd = static_cast<std::uint32_t>(told);
        iocb* const list[] = {&wanted};
        if (::syscall(SYS_io_submit, context_, 1L, list) != 1) return nullptr;
        auto ticket = std::make_shared<sync_ticket>();
        under_way_.emplace(number, ticket);
        return ticket;
    }

    // Marks every finished ticket, whoever waits for it.
    void reap()
    {
        std::array<io_event, 16> events;
        for (;;) {
            timespec at_once{};
            const auto got =
                ::syscall(SYS_io_getevents, context_, 0L, static_cast<long>(events.size()), events.data(), &at_once);
            for (long i = 0; i < got; ++i) {
                const auto& one = events[static_cast<std::size_t>(i)];
                const auto known = under_way_.find(one.data);
                if (known == under_way_.end()) continue;
                known->second->error = static_cast<int>(-one.res);
                under_way_.erase(known);
            }
            if (got < static_cast<long>(events.size())) return;
        }
    }

private:
    static constexpr unsigned most_under_way = 128;
    aio_context_t context_{0};
    std::uint64_t next_{0};
    std::map<std::uint64_t, std::shared_ptr<sync_ticket>> under_way_;
};

sync_queue& the_sync_queue()
{
    static sync_queue queue;
    return queue;
}

}  // namespace

asio::awaitable<int> sync_to_disk(int file)
{
    auto& queue = the_sync_queue();
    unique_fd told{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    const auto ticket = told ? queue.submit(file, told.get()) : nullptr;
    if (ticket) {
        asio::posix::stream_descriptor over{co_await asio::this_coro::executor, told.release()};
        const auto waited = co_await wait_readable(over);
        static_cast<void>(waited);  // only the queue decides
        queue.reap();
        if (ticket->error) co_return *ticket->error;
    }
    co_return ::fsync(file) == 0 ? 0 : errno;
}

}  // namespace sandboxd::async
