// QuickJS in the machine: boots once, then runs requests, each from the same pristine image.
#pragma once

#include "engine/machine.hpp"
#include "script/run.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::engine {

// When the parts of boot.js' library are compiled, which takes about 10 ms: before the first run, so that no run
// exceeds its limits; or when a script first needs one, which then runs again from its beginning.
enum class library_compiled : std::uint8_t { at_start, on_demand };

class interpreter {
public:
    // Boots: makes runtime and context, puts the console in place, takes the boot image. A few
    // milliseconds; throws when the engine does not come up. One a process, on `on_engine_stack`.
    explicit interpreter(library_compiled when = library_compiled::at_start);
    interpreter(const interpreter&) = delete;
    interpreter& operator=(const interpreter&) = delete;

    // Runs a request to its end. The answer reports whatever happens in it; afterwards the machine is reset to the
    // boot image.
    script::run_answer run(const script::run_request& request);

    // Linear memory, for tests that search it.
    const machine& inside() const noexcept { return machine_; }

private:
    using value = std::uint64_t;

    struct evaluated {
        bool thrown{false};
        bool settled{true};
        value result{0};
        bool waits{false};  // for tools
    };
    // How far an evaluation is; what it waits with survives in an image.
    enum class step : std::uint32_t {
        script,        // `held` is a script's value; what it has begun is to run
        async_script,  // `held` is the promise of a script with `await`
        module,        // `held` is the promise of a module, `definition`
        value,         // `held` is the value; a promise is to be settled
    };
    struct evaluation {
        step at{step::script};
        std::uint32_t definition{0};
        value held{0};
    };
    // Of a run that waits, in front of its image.
    struct suspension;

    void boot();
    void boot_context();
    void compile_boot_script();
    void compile_library();
    script::run_answer run_once(const script::run_request& request);
    std::string compile(std::string_view source, std::string_view name);
    value read_bytecode(const std::string& bytecode);
    void find_random_state();
    void find_iterator_data();
    void seed(const script::run_request& request);
    void evaluate(const std::string& script, std::uint32_t name, bool is_module, script::run_answer& into);
    // False when it threw.
    bool begin(std::uint32_t source, std::uint32_t size, std::uint32_t name, bool is_module, bool awaits);
    evaluated go_on();
    void conclude(const evaluated& made, script::run_answer& into);
    void install_tools(const std::vector<std::string>& names);
    evaluated resume(const script::run_request& request, const suspension& from);
    bool has_calls() const;
    bool tell_tools(bool settles, std::string_view text);
    bool drain();
    bool are_handled();
    bool run_timers(value promise);
    void drop_timers();
    evaluated settle(value promise);
    evaluation under_way_;
    void to_result(value what, const script::run_limits& limits, script::run_answer& into);
    script::thrown_value describe(value thrown);
    value take_exception();
    std::string to_text(value what, std::uint32_t max_bytes, bool& too_long);
    std::string property_text(value object, std::uint32_t name);
    std::uint32_t put(std::string_view bytes);

    machine machine_;
    std::uint32_t runtime_{0};
    std::uint32_t context_{0};
    std::uint32_t random_state_{0};
    std::string boot_bytecode_;
    std::uint32_t turn_arguments_{0};
    value turn_{0};  // boot.js' function that runs the next timer
    // Strings that every run needs, in the boot image.
    std::uint32_t name_init_{0};
    std::uint32_t name_script_{0};
    std::uint32_t key_name_{0};
    std::uint32_t key_message_{0};
    std::uint32_t key_stack_{0};
    std::uint32_t key_value_{0};
    std::uint32_t key_default_{0};
    std::uint32_t length_cell_{0};
};

}  // namespace sandboxd::engine
