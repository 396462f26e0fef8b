#include "engine/machine.hpp"

#include <errno.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <stdexcept>

namespace sandboxd::engine {

namespace detail {
sigjmp_buf landing;
volatile sig_atomic_t inside = 0;
volatile sig_atomic_t due = 0;
}  // namespace detail

namespace {

// A divisor of WebAssembly's.
const auto host_page_bytes = static_cast<std::uint32_t>(::sysconf(_SC_PAGESIZE));
constexpr std::uint32_t wasm_pages_end = 65'536;
constexpr std::size_t reservation_bytes = (std::size_t{8} << 30) + wasm_page_bytes;
constexpr std::size_t native_stack_bytes = std::size_t{32} << 20;
constexpr std::size_t native_guard_bytes = std::size_t{1} << 20;
constexpr std::size_t signal_stack_bytes = std::size_t{64} << 10;

// The lowest page stays closed for ever, so that a null pointer traps.
constexpr std::uint32_t stack_bottom = wasm_page_bytes;
constexpr std::uint32_t open_stack_bytes = 32 << 10;
constexpr std::uint32_t stack_step_bytes = 64 << 10;

// Comparing and shipping an image goes by blocks of this size.
constexpr std::size_t block_bytes = 256;

// Of a page of the boot image. Anything but `closed` is copied back.
enum page_state : std::uint8_t { closed, opening, open_until_reset, always_open };

// What the signal handlers need; there is one machine.
struct shared {
    std::uint8_t* base{nullptr};
    std::uint32_t stack_top{0};
    volatile std::uint32_t stack_low{0};   // everything from here up to the top is accessible
    volatile std::uint32_t high_pages{0};  // the most that was accessible since the last reset
    std::uint32_t limit_pages{0};
    bool frozen{false};
    std::uint32_t image_end{0};
    std::uint8_t* opened{nullptr};  // for each page of the image, a page_state
    std::uint8_t* native_guard{nullptr};
} state;

void must(bool fine, const char* what)
{
    if (!fine) throw std::runtime_error{std::string{"js engine: "} + what + ": " + std::strerror(errno)};
}

bool protect(std::uint32_t from, std::uint32_t to, int protection)
{
    return ::mprotect(state.base + from, to - from, protection) == 0;
}

void give_back(std::uint64_t from, std::uint64_t to)
{
    must(::madvise(state.base + from, to - from, MADV_DONTNEED) == 0, "madvise");
    must(::mprotect(state.base + from, to - from, PROT_NONE) == 0, "mprotect");
}

// True when the fault was an access to a closed part of the engine's stack, which is open now.
bool open_stack(std::uint64_t offset)
{
    const std::uint32_t low = state.stack_low;
    if (offset >= low || offset < stack_bottom) return false;
    const auto wanted = static_cast<std::uint32_t>(offset) & ~static_cast<std::uint32_t>(host_page_bytes - 1);
    const std::uint32_t step = low - stack_bottom > stack_step_bytes ? low - stack_step_bytes : stack_bottom;
    const std::uint32_t next = std::min(wanted, step);
    state.stack_low = next;  // first: a reset must know of it, whatever happens here
    return protect(next, low, PROT_READ | PROT_WRITE);
}

// True when the fault was the first write to a page of the boot image, which is open from now on.
bool open_image(std::uint64_t offset)
{
    if (offset < state.stack_top || offset >= state.image_end) return false;
    const auto page = (offset - state.stack_top) / host_page_bytes;
    if (state.opened[page] > opening) return false;
    // First: a reset must know of it. The timer may end this function before or after the page is open.
    state.opened[page] = opening;
    const auto begin = static_cast<std::uint32_t>(state.stack_top + page * host_page_bytes);
    if (!protect(begin, begin + host_page_bytes, PROT_READ | PROT_WRITE)) return false;
    state.opened[page] = open_until_reset;
    return true;
}

void on_fault(int number, siginfo_t* info, void*)
{
    const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
    const auto base = reinterpret_cast<std::uintptr_t>(state.base);
    // The host writes there, too.
    if (state.frozen && address >= base && open_image(address - base)) return;
    if (detail::inside) {
        if (address >= base && address < base + reservation_bytes) {
            if (state.frozen && open_stack(address - base)) return;
            sandboxd_js_trap(SANDBOXD_JS_TRAP_BOUNDS);
        }
        const auto guard = reinterpret_cast<std::uintptr_t>(state.native_guard);
        if (address >= guard && address < guard + native_guard_bytes) sandboxd_js_trap(SANDBOXD_JS_TRAP_STACK);
    }
    // A bug of ours: die of it as if there were no handler.
    ::signal(number, SIG_DFL);
    ::raise(number);
}

void on_alarm(int)
{
    detail::due = 1;
    if (detail::inside) sandboxd_js_trap(SANDBOXD_JS_TRAP_DEADLINE);
}

void install(int number, void (*handler)(int), void (*action_handler)(int, siginfo_t*, void*))
{
    struct sigaction action = {};
    // No signal is blocked meanwhile, so leaving a handler by siglongjmp has no mask to restore.
    action.sa_flags = SA_ONSTACK | SA_NODEFER;
    if (handler) {
        action.sa_handler = handler;
    } else {
        action.sa_sigaction = action_handler;
        action.sa_flags |= SA_SIGINFO;
    }
    must(::sigaction(number, &action, nullptr) == 0, "sigaction");
}

void install_handlers()
{
    static std::uint8_t signal_stack[signal_stack_bytes];
    stack_t stack = {};
    stack.ss_sp = signal_stack;
    stack.ss_size = sizeof signal_stack;
    must(::sigaltstack(&stack, nullptr) == 0, "sigaltstack");
    install(SIGSEGV, nullptr, on_fault);
    install(SIGBUS, nullptr, on_fault);
    install(SIGALRM, on_alarm, nullptr);
}

void put_u32(std::string& into, std::uint32_t value)
{
    into.append(reinterpret_cast<const char*>(&value), sizeof value);
}

bool take_u32(std::string_view& from, std::uint32_t& value)
{
    if (from.size() < sizeof value) return false;
    std::memcpy(&value, from.data(), sizeof value);
    from.remove_prefix(sizeof value);
    return true;
}

struct stack_switch {
    const std::function<void()>* body;
    std::exception_ptr thrown;
    ucontext_t back;
    ucontext_t there;
};
stack_switch* switching = nullptr;

void run_switched()
{
    try {
        (*switching->body)();
    } catch (...) {
        switching->thrown = std::current_exception();
    }
}

}  // namespace

void detail::landed(int code)
{
    switch (code) {
        case SANDBOXD_JS_TRAP_UNREACHABLE: throw trapped{*sandboxd_js_fuel() < 0 ? trap::out_of_fuel : trap::fault};
        case SANDBOXD_JS_TRAP_MEMORY: throw trapped{trap::memory_limit};
        case SANDBOXD_JS_TRAP_DEADLINE: throw trapped{trap::deadline};
        case SANDBOXD_JS_TRAP_OUTPUT: throw trapped{trap::output_limit};
        case SANDBOXD_JS_TRAP_STACK: throw trapped{trap::native_stack};
        default: throw trapped{trap::fault};
    }
}

void on_engine_stack(const std::function<void()>& body)
{
    const std::size_t size = native_guard_bytes + native_stack_bytes;
    void* const memory =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    must(memory != MAP_FAILED, "cannot map a stack");
    must(::mprotect(memory, native_guard_bytes, PROT_NONE) == 0, "cannot guard the stack");
    state.native_guard = static_cast<std::uint8_t*>(memory);

    stack_switch here{&body, nullptr, {}, {}};
    switching = &here;
    must(::getcontext(&here.there) == 0, "getcontext");
    here.there.uc_stack.ss_sp = memory;
    here.there.uc_stack.ss_size = size;
    here.there.uc_link = &here.back;
    ::makecontext(&here.there, run_switched, 0);
    must(::swapcontext(&here.back, &here.there) == 0, "swapcontext");
    switching = nullptr;
    state.native_guard = nullptr;
    ::munmap(memory, size);
    if (here.thrown) std::rethrow_exception(here.thrown);
}

machine::machine()
{
    if (state.base) throw std::logic_error{"js engine: a second machine in this process"};
    if (!state.native_guard) throw std::logic_error{"js engine: not on the engine's stack"};
    install_handlers();
    sandboxd_js_instantiate();
    initial_stack_pointer_ = *sandboxd_js_stack_pointer();
    state.stack_top = initial_stack_pointer_;
    if (state.stack_top % wasm_page_bytes != 0 || state.stack_top <= 2 * stack_bottom)
        throw std::logic_error{"js engine: the stack does not lie at the bottom of memory"};
    initial_.assign(reinterpret_cast<const char*>(state.base), memory_bytes());
}

std::uint8_t* machine::base() noexcept { return state.base; }

bool machine::holds(std::uint32_t address, std::size_t size) noexcept
{
    const std::uint64_t end = std::uint64_t{sandboxd_js_memory_pages()} * wasm_page_bytes;
    if (size > end || address > end - size) return false;
    // The engine may hand us a place on its stack that it has not touched itself yet.
    return !state.frozen || address >= state.stack_low || open_stack(address);
}

std::span<std::uint8_t> machine::at(std::uint32_t address, std::size_t size) const
{
    if (!holds(address, size)) throw trapped{trap::fault};
    return {state.base + address, size};
}

std::string_view machine::text(std::uint32_t address, std::size_t size) const
{
    const auto bytes = at(address, size);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string_view machine::accessible() const
{
    const std::uint32_t first = state.stack_low;
    return text(first, std::size_t{sandboxd_js_memory_pages()} * wasm_page_bytes - first);
}

void machine::restart()
{
    detail::inside = 0;
    const auto initial_pages = static_cast<std::uint32_t>(initial_.size() / wasm_page_bytes);
    std::memcpy(state.base, initial_.data(), initial_.size());
    if (state.high_pages > initial_pages) give_back(initial_.size(), std::uint64_t{state.high_pages} * wasm_page_bytes);
    state.high_pages = initial_pages;
    sandboxd_js_set_memory_pages(initial_pages);
    *sandboxd_js_stack_pointer() = initial_stack_pointer_;
}

void machine::freeze()
{
    initial_ = {};
    if (*sandboxd_js_stack_pointer() != initial_stack_pointer_)
        throw std::logic_error{"js engine: the boot left something on the stack"};
    boot_pages_ = sandboxd_js_memory_pages();
    const std::size_t end = std::size_t{boot_pages_} * wasm_page_bytes;
    image_.assign(reinterpret_cast<const char*>(state.base) + state.stack_top, end - state.stack_top);
    state.stack_low = state.stack_top - open_stack_bytes;
    std::memset(state.base + state.stack_low, 0, open_stack_bytes);
    give_back(0, state.stack_low);
    opened_.assign(image_.size() / host_page_bytes, closed);
    state.opened = opened_.data();
    state.image_end = static_cast<std::uint32_t>(end);
    must(protect(state.stack_top, state.image_end, PROT_READ), "mprotect");
    state.high_pages = boot_pages_;
    state.limit_pages = boot_pages_;
    state.frozen = true;
}

void machine::reset()
{
    detail::inside = 0;
    const std::uint32_t window = state.stack_top - open_stack_bytes;
    if (state.stack_low < window) {
        give_back(state.stack_low, window);
        state.stack_low = window;
    }
    std::memset(state.base + window, 0, open_stack_bytes);
    // Calls `what` with offset and length of each row of pages that are in such states.
    const auto rows = [this](page_state from, page_state to, auto what) {
        for (std::size_t page = 0; page < opened_.size(); ++page) {
            const auto first = page;
            while (page < opened_.size() && opened_[page] >= from && opened_[page] <= to) ++page;
            if (page > first) what(first * host_page_bytes, (page - first) * host_page_bytes);
        }
    };
    rows(opening, always_open, [this](std::size_t at, std::size_t bytes) {
        std::memcpy(state.base + state.stack_top + at, image_.data() + at, bytes);
    });
    if (is_settled_) {
        rows(opening, open_until_reset, [](std::size_t at, std::size_t bytes) {
            const auto begin = state.stack_top + static_cast<std::uint32_t>(at);
            must(protect(begin, begin + static_cast<std::uint32_t>(bytes), PROT_READ), "mprotect");
        });
        std::ranges::replace_if(opened_, [](auto one) { return one != always_open; }, std::uint8_t{closed});
    }
    if (state.high_pages > boot_pages_) {
        give_back(std::uint64_t{boot_pages_} * wasm_page_bytes, std::uint64_t{state.high_pages} * wasm_page_bytes);
        state.high_pages = boot_pages_;
    }
    sandboxd_js_set_memory_pages(boot_pages_);
    *sandboxd_js_stack_pointer() = initial_stack_pointer_;
}

void machine::settle()
{
    is_settled_ = true;
    std::ranges::replace(opened_, std::uint8_t{open_until_reset}, std::uint8_t{always_open});
}

void machine::set_memory_limit(std::uint64_t bytes)
{
    const std::uint64_t pages = std::min<std::uint64_t>(bytes / wasm_page_bytes, 65'535);
    state.limit_pages = std::max(static_cast<std::uint32_t>(pages), boot_pages_);
}

std::uint64_t machine::memory_bytes() const { return std::uint64_t{sandboxd_js_memory_pages()} * wasm_page_bytes; }

void machine::set_deadline(std::chrono::microseconds wall)
{
    detail::due = 0;
    if (wall.count() <= 0) return;
    itimerval timer = {};
    timer.it_value.tv_sec = wall.count() / 1'000'000;
    timer.it_value.tv_usec = wall.count() % 1'000'000;
    must(::setitimer(ITIMER_REAL, &timer, nullptr) == 0, "setitimer");
}

void machine::clear_deadline()
{
    const itimerval off = {};
    must(::setitimer(ITIMER_REAL, &off, nullptr) == 0, "setitimer");
    detail::due = 0;
}

// The blob: the number of pages, then runs of blocks: offset from stack_top, length, bytes. The
// stack is empty between calls, and what lies on it is dead.
std::string machine::difference(std::size_t max_bytes) const
{
    std::string made;
    put_u32(made, sandboxd_js_memory_pages());
    const std::size_t size = std::size_t{sandboxd_js_memory_pages()} * wasm_page_bytes - state.stack_top;
    const char* const now = reinterpret_cast<const char*>(state.base) + state.stack_top;
    static constexpr char zeros[block_bytes] = {};
    const auto same = [&](std::size_t at) {
        if (at < image_.size() && opened_[at / host_page_bytes] == closed) return true;
        const char* const before = at < image_.size() ? image_.data() + at : zeros;
        return std::memcmp(now + at, before, block_bytes) == 0;
    };
    for (std::size_t at = 0; at < size;) {
        if (same(at)) {
            at += block_bytes;
            continue;
        }
        std::size_t end = at + block_bytes;
        while (end < size && !same(end)) end += block_bytes;
        if (made.size() + 2 * sizeof(std::uint32_t) + (end - at) > max_bytes) return {};
        put_u32(made, static_cast<std::uint32_t>(at));
        put_u32(made, static_cast<std::uint32_t>(end - at));
        made.append(now + at, end - at);
        at = end;
    }
    return made;
}

bool machine::apply(std::string_view difference)
{
    std::uint32_t pages = 0;
    if (!take_u32(difference, pages)) return false;
    if (pages < boot_pages_ || pages >= wasm_pages_end) return false;
    if (pages > state.limit_pages) throw trapped{trap::memory_limit};
    if (pages > boot_pages_) {
        state.high_pages = pages;
        must(protect(boot_pages_ * wasm_page_bytes, pages * wasm_page_bytes, PROT_READ | PROT_WRITE), "mprotect");
        sandboxd_js_set_memory_pages(pages);
    }
    const std::size_t size = std::size_t{pages} * wasm_page_bytes - state.stack_top;
    while (!difference.empty()) {
        std::uint32_t at = 0;
        std::uint32_t count = 0;
        if (!take_u32(difference, at) || !take_u32(difference, count)) return false;
        if (count > difference.size() || count > size || at > size - count) return false;
        std::memcpy(state.base + state.stack_top + at, difference.data(), count);
        difference.remove_prefix(count);
    }
    return true;
}

}  // namespace sandboxd::engine

// What the engine needs of us.

using sandboxd::engine::state;

void sandboxd_js_trap(int code)
{
    sandboxd::engine::detail::inside = 0;
    siglongjmp(sandboxd::engine::detail::landing, code);
}

std::uint8_t* sandboxd_js_memory_reserve(std::uint32_t pages)
{
    void* const memory = ::mmap(nullptr, sandboxd::engine::reservation_bytes, PROT_NONE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    sandboxd::engine::must(memory != MAP_FAILED, "cannot reserve 8 GiB of address space");
    state.base = static_cast<std::uint8_t*>(memory);
    state.high_pages = pages;
    state.limit_pages = 1'024;  // for the boot itself
    sandboxd::engine::must(
        sandboxd::engine::protect(0, pages * sandboxd::engine::wasm_page_bytes, PROT_READ | PROT_WRITE), "mprotect");
    return state.base;
}

void sandboxd_js_memory_extend(std::uint32_t old_pages, std::uint32_t new_pages)
{
    if (new_pages > state.limit_pages) sandboxd_js_trap(SANDBOXD_JS_TRAP_MEMORY);
    if (new_pages > state.high_pages) state.high_pages = new_pages;  // first: see open_stack
    if (::mprotect(state.base + std::uint64_t{old_pages} * sandboxd::engine::wasm_page_bytes,
                   std::uint64_t{new_pages - old_pages} * sandboxd::engine::wasm_page_bytes,
                   PROT_READ | PROT_WRITE) != 0)
        sandboxd_js_trap(SANDBOXD_JS_TRAP_MEMORY);
}
