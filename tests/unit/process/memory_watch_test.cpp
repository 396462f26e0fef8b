// The memory of a tree of processes, as one number.
#include "process/memory_watch.hpp"

#include "support/on_loop.hpp"

#include <boost/asio/awaitable.hpp>

#include <catch2/catch_test_macros.hpp>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

using namespace sandboxd;
using namespace sandboxd::test;

namespace {

constexpr std::size_t mib = 1 << 20;
constexpr int children_of_it = 4;

void write_anew(char* at, std::size_t bytes)
{
    for (std::size_t i = 0; i < bytes; i += 4096) at[i] = static_cast<char>(at[i] + 1);
}

// A process with 40 MiB and four children, which have the same memory: as it was (`shared`), each its own copy
// (`copied`), or that of their parent itself, as between vfork and exec (`borrowed`).
enum class way { shared, copied, borrowed };

boost::asio::awaitable<process::memory_use> memory_at(pid_t leader, process::memory_caps caps)
{
    async::turns turn;
    co_return co_await process::memory_of(leader, caps, turn);
}

class family {
public:
    explicit family(way how)
    {
        int ready[2];
        REQUIRE(::pipe(ready) == 0);
        leader_ = ::fork();
        REQUIRE(leader_ >= 0);
        if (leader_ == 0) be_parent(how, ready[1]);
        ::close(ready[1]);
        char told[children_of_it];
        for (int got = 0; got < children_of_it;) {
            const auto more = ::read(ready[0], told, sizeof told);
            REQUIRE(more > 0);
            got += static_cast<int>(more);
        }
        ::close(ready[0]);
    }
    ~family()
    {
        ::kill(-leader_, SIGKILL);
        ::waitpid(leader_, nullptr, 0);
    }
    family(const family&) = delete;
    family& operator=(const family&) = delete;

    std::uint64_t bytes(std::uint64_t cap) const { return on_loop(memory_at(leader_, {.bytes = cap})).bytes; }

private:
    [[noreturn]] static void be_parent(way how, int ready)
    {
        ::setpgid(0, 0);
        void* const at = ::mmap(nullptr, 40 * mib, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED) ::_exit(1);
        auto* const memory = static_cast<char*>(at);
        write_anew(memory, 40 * mib);
        for (int child = 0; child < children_of_it; ++child) {
            if (how == way::borrowed) {
                alignas(16) static char stacks[children_of_it][16'384];
                ::clone(
                    [](void* to) {
                        const char one = 1;
                        static_cast<void>(::write(*static_cast<int*>(to), &one, 1));
                        for (;;) ::pause();
                        return 0;
                    },
                    stacks[child] + sizeof stacks[child], CLONE_VM | SIGCHLD, &ready);
            } else if (::fork() == 0) {
                if (how == way::copied) write_anew(memory, 40 * mib);
                const char one = 1;
                static_cast<void>(::write(ready, &one, 1));
                for (;;) ::pause();
            }
        }
        for (;;) ::pause();
    }

    pid_t leader_;
};

}  // namespace

TEST_CASE("the memory of a tree counts each process, and what they share once", "[process]")
{
    constexpr std::uint64_t no_cap = 1ULL << 50;
    SECTION("what they share counts in each below the cap, and once above it")
    {
        const family shared{way::shared};
        const auto each = shared.bytes(no_cap);
        CHECK(each >= 200 * mib);
        const auto once = shared.bytes(each / 2);
        CHECK(once >= 40 * mib);
        CHECK(once < each / 2);
    }
    SECTION("a copy of its own counts")
    {
        const family copied{way::copied};
        CHECK(copied.bytes(copied.bytes(no_cap) / 2) >= 200 * mib);
    }
    SECTION("memory that is the parent's itself counts once")
    {
        const family borrowed{way::borrowed};
        const auto each = borrowed.bytes(no_cap);
        CHECK(borrowed.bytes(each / 2) < each / 2);
    }
    SECTION("nobody has none") { CHECK(on_loop(memory_at(0, {})).processes == 0); }
}
