// The one instance of the engine in this process: its linear memory, its traps, its limits, its reset.
//
// Walls. Generated code reaches only its own linear memory: a 32-bit base plus a 32-bit offset always falls into an
// 8 GiB reservation, of which only the memory's current pages are accessible. Any other access faults, and the fault
// becomes a trap. A trap, a limit or the timer leaves the generated code by siglongjmp. That is sound, because only
// plain C without anything to release lies in between, and because `reset` overwrites whatever state it leaves.
//
// Reset. The module's state is its linear memory, the memory's size and the stack pointer; the tool that prepares the
// module refuses modules with more state (engine/quickjs/meter.cpp). Only accessible memory can be dirty:
// - The native-in-wasm stack, [0, stack_top). At first only a window at its top is open. Deeper accesses fault and open
//   more, so everything below the low-water mark is known to be untouched. The rest is zeroed.
// - Data and heap of the boot image, [stack_top, boot size). Most scripts write to the same third of its pages: these
//   are open, by what had been written to when `settle` was called. The others are read only; the first write to one
//   faults and opens it until the reset. All that are open are copied back.
// - The memory that memory.grow added. It is returned to the kernel and closed.
// So nothing is assumed about where the code writes, not even that it is free of memory errors.
//
// The process must run on `on_engine_stack` while it uses this: generated code recurses natively, and the fault handler
// must know the end of its stack.
#pragma once

#include "engine/quickjs/engine.h"

#include <setjmp.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace sandboxd::engine {

// Why generated code ended early.
enum class trap { out_of_fuel, memory_limit, deadline, output_limit, native_stack, fault };

struct trapped {
    trap why;
};

inline constexpr std::uint32_t wasm_page_bytes{65'536};

// Runs `body` on a separate stack with a guard below it. Once per process, around everything.
void on_engine_stack(const std::function<void()>& body);

namespace detail {
extern sigjmp_buf landing;
extern volatile sig_atomic_t inside;  // in generated code: a signal may leave it
extern volatile sig_atomic_t due;     // the deadline came while outside
[[noreturn]] void landed(int code);
}  // namespace detail

// The scope of a host function: inside it, the timer only sets a flag.
class host_side {
public:
    host_side() noexcept
    {
        detail::inside = 0;
        std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    // May trap: no other object with a destructor may be alive.
    static void leave()
    {
        std::atomic_signal_fence(std::memory_order_seq_cst);
        detail::inside = 1;
        if (detail::due) sandboxd_js_trap(SANDBOXD_JS_TRAP_DEADLINE);
    }
};

class machine {
public:
    // Reserves the memory, instantiates the module, installs the signal handlers. One per process.
    machine();
    machine(const machine&) = delete;
    machine& operator=(const machine&) = delete;

    // Calls a function of the engine. Throws `trapped`; then only `reset` may follow.
    template <class Result, class... Parameters>
    Result call(Result (*function)(Parameters...), std::type_identity_t<Parameters>... arguments)
    {
        if (const int code = sigsetjmp(detail::landing, 0); code != 0) detail::landed(code);
        detail::inside = 1;
        std::atomic_signal_fence(std::memory_order_seq_cst);
        if (detail::due) sandboxd_js_trap(SANDBOXD_JS_TRAP_DEADLINE);
        if constexpr (std::is_void_v<Result>) {
            function(arguments...);
            std::atomic_signal_fence(std::memory_order_seq_cst);
            detail::inside = 0;
        } else {
            const Result made = function(arguments...);
            std::atomic_signal_fence(std::memory_order_seq_cst);
            detail::inside = 0;
            return made;
        }
    }

    // Linear memory as the host sees it. Addresses come from the engine but are checked: `trapped{fault}` when the
    // range is not inside the memory.
    std::span<std::uint8_t> at(std::uint32_t address, std::size_t size) const;
    std::string_view text(std::uint32_t address, std::size_t size) const;
    template <class T>
    T load(std::uint32_t address) const
    {
        T value;
        std::memcpy(&value, at(address, sizeof value).data(), sizeof value);
        return value;
    }
    template <class T>
    void store(std::uint32_t address, T value)
    {
        std::memcpy(at(address, sizeof value).data(), &value, sizeof value);
    }
    // The same for host functions: false instead of an exception.
    static bool holds(std::uint32_t address, std::size_t size) noexcept;
    static std::uint8_t* base() noexcept;

    // All linear memory that is accessible now, including the open part of the stack.
    std::string_view accessible() const;

    // Resets the module to its instantiated state, before the boot image is taken.
    void restart();

    // Takes the boot image; from now on `reset` returns to it. No engine call is under way.
    void freeze();
    void reset();
    // Pages of the image that were written to since `freeze` stay open from now on. Call it before a client's first
    // script: how long a write takes would tell the next one what that script did.
    void settle();

    // Fuel, in executed WebAssembly instructions (engine/quickjs/meter.cpp); below zero the code traps.
    void set_fuel(std::int64_t units) { *sandboxd_js_fuel() = units; }
    std::int64_t fuel() const { return *sandboxd_js_fuel(); }

    // Total linear memory, the interpreter's own included; rounded down to pages of 64 KiB, and
    // never below what the boot image takes. Growing beyond it traps.
    void set_memory_limit(std::uint64_t bytes);
    std::uint64_t memory_bytes() const;

    // From now on; zero or less turns it off. A deadline that expires while no engine code runs traps at the next
    // call.
    void set_deadline(std::chrono::microseconds wall);
    void clear_deadline();

    // The differences from the boot image as one blob; empty when it is longer than `max_bytes`. Call it only between
    // engine calls, with an empty stack.
    std::string difference(std::size_t max_bytes) const;
    // After `reset`: applies such a blob. False when it is malformed, `trapped{memory_limit}` when
    // it is larger than the limit; then `reset` again.
    bool apply(std::string_view difference);

private:
    std::uint32_t initial_stack_pointer_{0};
    std::uint32_t boot_pages_{0};
    std::string image_;                 // [stack_top, boot size)
    std::vector<std::uint8_t> opened_;  // of its pages, each a page_state
    bool is_settled_{false};
    std::string initial_;  // everything, as instantiated; until the boot image is taken
};

}  // namespace sandboxd::engine
