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
#include <string>
#include <utility>

using namespace sandboxd;
using namespace sandboxd::test;

namespace {

constexpr std::size_t mib = 1 << 20;
constexpr int children_of_it = 4;
constexpr int pipes_of_it = 400;
constexpr std::size_t pieces_of_it = 10'000;

void write_anew(char* at, std::size_t bytes)
{
    for (std::size_t i = 0; i < bytes; i += 4096) at[i] = static_cast<char>(at[i] + 1);
}

// A process with 40 MiB and four children, which have the same memory: as it was (`shared`), each its own copy
// (`copied`), or that of their parent itself, as between vfork and exec (`borrowed`).
// `split`: each has 10,000 mappings more. `piped`: the parent has 400 pipes, which its children have, too. Both can be
// undone, so that the two sums differ in nothing else: a fork of this test has its memory, which grows between two.
enum class way { shared, copied, borrowed, split, piped };

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
        int word[2];
        REQUIRE(::pipe(ready) == 0);
        REQUIRE(::pipe(word) == 0);
        leader_ = ::fork();
        REQUIRE(leader_ >= 0);
        if (leader_ == 0) {
            ::close(word[1]);
            be_parent(how, word[0], ready[1]);
        }
        ::close(ready[1]);
        ::close(word[0]);
        ready_ = ready[0];
        word_ = word[1];
        wait_for(children_of_it);
    }
    ~family()
    {
        ::kill(-leader_, SIGKILL);
        ::waitpid(leader_, nullptr, 0);
        ::close(ready_);
        if (word_ >= 0) ::close(word_);
    }
    family(const family&) = delete;
    family& operator=(const family&) = delete;

    // For `split` and `piped`: all five are as in `shared` afterwards.
    void undo()
    {
        ::close(std::exchange(word_, -1));
        wait_for(children_of_it + 1);
    }

    std::uint64_t bytes(std::uint64_t cap) const { return on_loop(memory_at(leader_, {.bytes = cap})).bytes; }

private:
    void wait_for(int processes) const
    {
        char told[children_of_it + 1];
        for (int got = 0; got < processes;) {
            const auto more = ::read(ready_, told, static_cast<std::size_t>(processes - got));
            REQUIRE(more > 0);
            got += static_cast<int>(more);
        }
    }

    [[noreturn]] static void be_parent(way how, int word, int ready)
    {
        ::setpgid(0, 0);
        void* const at = ::mmap(nullptr, 40 * mib, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED) ::_exit(1);
        auto* const memory = static_cast<char*>(at);
        write_anew(memory, 40 * mib);
        // None of it is ever touched.
        void* const in_pieces = ::mmap(nullptr, pieces_of_it * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (in_pieces == MAP_FAILED) ::_exit(1);
        if (how == way::split)
            for (std::size_t i = 0; i < pieces_of_it; i += 2)
                ::mprotect(static_cast<char*>(in_pieces) + i * 4096, 4096, PROT_READ);
        const int first_pipe = how == way::piped ? make_pipes() : 0;
        const auto wait_and_undo = [&] {
            char none;
            if (::read(word, &none, 1) != 0) ::_exit(1);
            if (how == way::split) ::munmap(in_pieces, pieces_of_it * 4096);
            if (how == way::piped) ::close_range(static_cast<unsigned>(first_pipe), ~0U, 0);
            tell(ready);
            for (;;) ::pause();
        };
        for (int child = 0; child < children_of_it; ++child) {
            if (how == way::borrowed) {
                alignas(16) static char stacks[children_of_it][16'384];
                ::clone(
                    [](void* to) {
                        tell(*static_cast<int*>(to));
                        for (;;) ::pause();
                        return 0;
                    },
                    stacks[child] + sizeof stacks[child], CLONE_VM | SIGCHLD, &ready);
            } else if (::fork() == 0) {
                if (how == way::copied) write_anew(memory, 40 * mib);
                tell(ready);
                wait_and_undo();
            }
        }
        wait_and_undo();
        ::_exit(1);
    }

    static void tell(int ready)
    {
        const char one = 1;
        static_cast<void>(::write(ready, &one, 1));
    }

    // The first descriptor of them; all above belong to them, too.
    static int make_pipes()
    {
        int ends[2];
        int first = -1;
        for (int pipe = 0; pipe < pipes_of_it; ++pipe) {
            if (::pipe(ends) != 0) ::_exit(1);
            if (first < 0) first = ends[0];
        }
        return first;
    }

    pid_t leader_;
    int ready_;
    int word_;
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
    SECTION("so do the kernel's notes on mappings, of each")
    {
        family them{way::split};
        const auto split = them.bytes(no_cap);
        them.undo();
        const auto plain = them.bytes(no_cap);
        CHECK(split >= plain + 5 * pieces_of_it * 200);
        CHECK(split <= plain + 5 * pieces_of_it * 300);
    }
    SECTION("a pipe counts once, however many have it")
    {
        family them{way::piped};
        const auto piped = them.bytes(no_cap);
        them.undo();
        const auto plain = them.bytes(no_cap);
        // The kernel tells a process's memory to some hundred KiB only, the more the more processors there are.
        constexpr std::uint64_t all = pipes_of_it * 8'192;
        CHECK(piped >= plain + all / 4);
        CHECK(piped <= plain + 3 * all);
    }
    SECTION("nobody has none") { CHECK(on_loop(memory_at(0, {})).processes == 0); }
}

TEST_CASE("what is long to weigh is not weighed", "[process]")
{
    const auto status = [](std::size_t anonymous, std::size_t files, std::size_t shared, std::size_t tables) {
        const auto line = [](const char* key, std::size_t kib) {
            return std::string{key} + ":\t" + std::to_string(kib) + " kB\n";
        };
        return "Name:\tx\n" + line("RssAnon", anonymous << 10) + line("RssFile", files << 10) +
               line("RssShmem", shared << 10) + line("VmPTE", tables << 10) + line("VmSwap", 0);
    };
    const process::memory_caps small{.bytes = 128 * mib};
    const process::memory_caps large{.bytes = 16'384 * mib};
    CHECK(process::may_weigh(status(100, 50, 10, 1), small));
    CHECK(process::may_weigh(status(128, 256, 0, 8), small));
    CHECK_FALSE(process::may_weigh(status(128, 257, 0, 1), small));
    CHECK_FALSE(process::may_weigh(status(10, 0, 20'000, 1), small));
    CHECK_FALSE(process::may_weigh(status(10, 0, 0, 9), small));
    CHECK(process::may_weigh(status(1000, 280, 0, 4), large));
    CHECK_FALSE(process::may_weigh(status(1000, 281, 0, 4), large));
    // A kernel that does not tell, or a process that is gone.
    CHECK_FALSE(process::may_weigh("", small));
    CHECK_FALSE(process::may_weigh("Name:\tx\nVmPTE:\t1 kB\n", small));
}
