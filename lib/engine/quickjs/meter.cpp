// meter: reads a WebAssembly module and writes one that counts what it executes and exports only
// what it is asked for.
//
//   meter IN.wasm OUT.wasm EXPORTS.txt
//
// Fuel. The module gains a mutable i64 global, exported as `fuel`. One unit is one WebAssembly
// instruction that does something: constants, moves from and to locals, `block`, `loop`, `end`,
// `else`, `nop` and `drop` are free, and a bulk memory instruction costs one more unit for every
// eight bytes. A run of instructions is paid for where it is entered: at the start of a function,
// at the head of a loop, at the two arms of an `if`, and behind a label that a branch can reach.
// What follows a `br_if` is paid for with what precedes it, so a taken branch can overpay by the
// rest of its run, always by the same amount. When the global falls below zero the module traps
// with `unreachable`. The count depends on nothing but the instructions executed, so the same
// script with the same inputs burns the same fuel on every machine.
//
// This is done on the module and not on the C that wasm2c makes of it, because the module's format
// is a standard (WebAssembly core specification 2.0, binary format) and the C changes with every
// release of wabt.
//
// State. The module's state is its linear memory, the memory's size, and the stack pointer: modules
// with other mutable globals, or with instructions that change tables or segments, are refused, so
// that whoever resets an instance knows that there is nothing else to reset.
//
// EXPORTS.txt holds a line for each export to keep: `name` or `name=new_name`. Everything else
// loses its export, and so the C compiler may drop it. An export that is not there is an error.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using bytes = std::vector<std::uint8_t>;

constexpr std::uint8_t type_i32 = 0x7f;
constexpr std::uint8_t type_i64 = 0x7e;

enum section_id : std::uint8_t {
    section_custom = 0,
    section_import = 2,
    section_function = 3,
    section_memory = 5,
    section_global = 6,
    section_export = 7,
    section_code = 10,
};

enum opcode : std::uint8_t {
    op_unreachable = 0x00,
    op_nop = 0x01,
    op_block = 0x02,
    op_loop = 0x03,
    op_if = 0x04,
    op_else = 0x05,
    op_end = 0x0b,
    op_br = 0x0c,
    op_br_if = 0x0d,
    op_br_table = 0x0e,
    op_return = 0x0f,
    op_call = 0x10,
    op_call_indirect = 0x11,
    op_drop = 0x1a,
    op_select = 0x1b,
    op_select_typed = 0x1c,
    op_local_get = 0x20,
    op_local_set = 0x21,
    op_local_tee = 0x22,
    op_global_get = 0x23,
    op_global_set = 0x24,
    op_table_get = 0x25,
    op_table_set = 0x26,
    op_load_first = 0x28,
    op_store_last = 0x3e,
    op_memory_size = 0x3f,
    op_memory_grow = 0x40,
    op_i32_const = 0x41,
    op_i64_const = 0x42,
    op_f32_const = 0x43,
    op_f64_const = 0x44,
    op_numeric_first = 0x45,
    op_i64_lt_s = 0x53,
    op_i64_sub = 0x7d,
    op_i64_shr_u = 0x88,
    op_i64_extend_i32_u = 0xad,
    op_numeric_last = 0xc4,
    op_ref_null = 0xd0,
    op_ref_is_null = 0xd1,
    op_ref_func = 0xd2,
    op_prefix_fc = 0xfc,
};

constexpr std::uint8_t block_type_empty = 0x40;
constexpr int bytes_a_unit_log2 = 3;

class reader {
public:
    explicit reader(std::span<const std::uint8_t> in) : in_{in} {}

    bool done() const { return at_ == in_.size(); }
    std::size_t at() const { return at_; }

    std::uint8_t byte()
    {
        if (done()) throw std::runtime_error{"the module ends too early"};
        return in_[at_++];
    }
    std::uint64_t leb()
    {
        std::uint64_t value = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            const std::uint8_t one = byte();
            value |= static_cast<std::uint64_t>(one & 0x7f) << shift;
            if (!(one & 0x80)) return value;
        }
        throw std::runtime_error{"a number is too long"};
    }
    std::size_t size() { return static_cast<std::size_t>(leb()); }
    void skip_leb() { static_cast<void>(leb()); }
    std::span<const std::uint8_t> take(std::size_t count)
    {
        if (in_.size() - at_ < count) throw std::runtime_error{"the module ends too early"};
        const auto part = in_.subspan(at_, count);
        at_ += count;
        return part;
    }
    std::span<const std::uint8_t> since(std::size_t start) const { return in_.subspan(start, at_ - start); }
    std::string name()
    {
        const auto text = take(size());
        return {text.begin(), text.end()};
    }

private:
    std::span<const std::uint8_t> in_;
    std::size_t at_{0};
};

void put(bytes& out, std::span<const std::uint8_t> part) { out.insert(out.end(), part.begin(), part.end()); }

void put_leb(bytes& out, std::uint64_t value)
{
    do {
        std::uint8_t one = value & 0x7f;
        value >>= 7;
        if (value) one |= 0x80;
        out.push_back(one);
    } while (value);
}

void put_sleb(bytes& out, std::int64_t value)
{
    for (;;) {
        const std::uint8_t one = value & 0x7f;
        value >>= 7;
        if ((value == 0 && !(one & 0x40)) || (value == -1 && (one & 0x40))) {
            out.push_back(one);
            return;
        }
        out.push_back(one | 0x80);
    }
}

void put_name(bytes& out, const std::string& name)
{
    put_leb(out, name.size());
    out.insert(out.end(), name.begin(), name.end());
}

// One function body, without its size.
class function_meter {
public:
    function_meter(std::span<const std::uint8_t> body, std::uint32_t fuel, std::uint32_t parameters)
        : in_{body}, fuel_{fuel}, locals_{parameters}
    {
    }

    bytes run()
    {
        read_locals();
        open_frame(op_block);
        enter_run();
        while (!frames_.empty()) instruction();
        if (!in_.done()) throw std::runtime_error{"bytes behind the end of a function"};
        bytes all;
        put_leb(all, groups_ + (uses_bulk_ ? 1 : 0));
        put(all, local_groups_);
        if (uses_bulk_) {
            put_leb(all, 1);
            all.push_back(type_i32);
        }
        put(all, out_);
        return all;
    }

private:
    struct frame {
        std::uint8_t kind;
        bool branched_to{false};
    };

    void read_locals()
    {
        groups_ = in_.size();
        const std::size_t start = in_.at();
        for (std::size_t i = 0; i < groups_; ++i) {
            locals_ += static_cast<std::uint32_t>(in_.leb());
            in_.byte();
        }
        put(local_groups_, in_.since(start));
    }

    void open_frame(std::uint8_t kind) { frames_.push_back({kind}); }

    void branch(std::uint64_t depth)
    {
        if (depth >= frames_.size()) throw std::runtime_error{"a branch leaves its function"};
        frames_[frames_.size() - 1 - depth].branched_to = true;
    }

    // The instructions of a run are collected, and written behind their charge when the run ends.
    void enter_run()
    {
        leave_run();
        cost_ = 0;
    }
    void leave_run()
    {
        if (cost_ > 0) charge_constant(cost_);
        put(out_, run_);
        run_.clear();
        cost_ = 0;
    }

    void check(bytes& into) const
    {
        into.push_back(op_global_get);
        put_leb(into, fuel_);
        into.push_back(op_i64_const);
        put_sleb(into, 0);
        into.push_back(op_i64_lt_s);
        into.push_back(op_if);
        into.push_back(block_type_empty);
        into.push_back(op_unreachable);
        into.push_back(op_end);
    }

    void charge_constant(std::uint64_t units)
    {
        out_.push_back(op_global_get);
        put_leb(out_, fuel_);
        out_.push_back(op_i64_const);
        put_sleb(out_, static_cast<std::int64_t>(units));
        out_.push_back(op_i64_sub);
        out_.push_back(op_global_set);
        put_leb(out_, fuel_);
        check(out_);
    }

    // The count of bytes lies on top of the stack, and stays there.
    void charge_bulk()
    {
        uses_bulk_ = true;
        run_.push_back(op_local_tee);
        put_leb(run_, locals_);
        run_.push_back(op_global_get);
        put_leb(run_, fuel_);
        run_.push_back(op_local_get);
        put_leb(run_, locals_);
        run_.push_back(op_i64_extend_i32_u);
        run_.push_back(op_i64_const);
        put_sleb(run_, bytes_a_unit_log2);
        run_.push_back(op_i64_shr_u);
        run_.push_back(op_i64_sub);
        run_.push_back(op_global_set);
        put_leb(run_, fuel_);
        check(run_);
    }

    void instruction()
    {
        const std::size_t start = in_.at();
        const std::uint8_t op = in_.byte();
        switch (op) {
            case op_block:
            case op_loop:
            case op_if:
                in_.skip_leb();
                open_frame(op);
                if (op == op_if) ++cost_;
                put(run_, in_.since(start));
                if (op != op_block) enter_run();
                return;
            case op_else:
                put(run_, in_.since(start));
                enter_run();
                return;
            case op_end: {
                const frame closed = frames_.back();
                frames_.pop_back();
                put(run_, in_.since(start));
                if (frames_.empty())
                    leave_run();
                else if (closed.kind == op_if || (closed.kind == op_block && closed.branched_to))
                    enter_run();
                return;
            }
            case op_i32_const:
            case op_i64_const:
            case op_local_get:
            case op_local_set:
            case op_local_tee:
                in_.skip_leb();
                put(run_, in_.since(start));
                return;
            case op_f32_const:
            case op_f64_const:
                in_.take(op == op_f32_const ? 4 : 8);
                put(run_, in_.since(start));
                return;
            case op_nop:
            case op_drop: put(run_, in_.since(start)); return;
            case op_unreachable:
            case op_return:
            case op_select:
            case op_ref_is_null: break;
            case op_br:
            case op_br_if: branch(in_.leb()); break;
            case op_br_table: {
                for (std::size_t left = in_.size() + 1; left > 0; --left) branch(in_.leb());
                break;
            }
            case op_call:
            case op_global_get:
            case op_global_set:
            case op_table_get:
            case op_memory_size:
            case op_memory_grow:
            case op_ref_null:
            case op_ref_func: in_.skip_leb(); break;
            case op_call_indirect:
                in_.skip_leb();
                in_.skip_leb();
                break;
            case op_table_set: refuse_mutable("table.set");
            case op_select_typed: in_.take(in_.size()); break;
            case op_prefix_fc: prefixed(); break;
            default:
                if (op >= op_load_first && op <= op_store_last) {
                    in_.skip_leb();
                    in_.skip_leb();
                } else if (op < op_numeric_first || op > op_numeric_last) {
                    throw std::runtime_error{"an instruction that is not known: " + std::to_string(op)};
                }
        }
        ++cost_;
        put(run_, in_.since(start));
    }

    void prefixed()
    {
        switch (const std::uint64_t op = in_.leb()) {
            case 0:
            case 1:
            case 2:
            case 3:
            case 4:
            case 5:
            case 6:
            case 7: return;  // saturating conversions
            case 10:         // memory.copy
                in_.skip_leb();
                in_.skip_leb();
                charge_bulk();
                return;
            case 11:  // memory.fill
                in_.skip_leb();
                charge_bulk();
                return;
            case 8:
            case 9: refuse_mutable("memory.init or data.drop");
            case 12:
            case 13:
            case 14:
            case 15:
            case 17: refuse_mutable("an instruction on tables");
            default: throw std::runtime_error{"an instruction that is not known: 0xfc " + std::to_string(op)};
        }
    }

    [[noreturn]] static void refuse_mutable(const char* what)
    {
        throw std::runtime_error{std::string{what} + ": the module has state that a reset would not restore"};
    }

    reader in_;
    std::uint32_t fuel_;
    std::uint32_t locals_;  // parameters and locals; also the index of the one that is added
    std::size_t groups_{0};
    bytes local_groups_;
    bytes out_;
    bytes run_;
    std::uint64_t cost_{0};
    bool uses_bulk_{false};
    std::vector<frame> frames_;
};

class module_meter {
public:
    module_meter(const bytes& in, std::map<std::string, std::string> exports) : in_{in}, wanted_{std::move(exports)} {}

    bytes run()
    {
        static constexpr std::uint8_t header[] = {0, 'a', 's', 'm', 1, 0, 0, 0};
        if (!std::ranges::equal(in_.take(sizeof header), header))
            throw std::runtime_error{"not a WebAssembly 1 module"};
        put(out_, header);
        while (!in_.done()) section();
        if (!has_globals_) throw std::runtime_error{"the module has no section of globals"};
        if (!wanted_.empty()) throw std::runtime_error{"not exported: " + wanted_.begin()->first};
        return std::move(out_);
    }

private:
    void section()
    {
        const std::uint8_t id = in_.byte();
        const auto content = in_.take(in_.size());
        bytes made;
        reader from{content};
        switch (id) {
            case section_custom: return;
            case 1: types(from); break;
            case section_import: made = imports(from); break;
            case section_function: functions(from); break;
            case section_global: made = globals(from); break;
            case section_export: made = exports(from); break;
            case section_code: made = code(from); break;
            default: break;
        }
        if (made.empty()) put(made, content);
        out_.push_back(id);
        put_leb(out_, made.size());
        put(out_, made);
    }

    void types(reader from)
    {
        for (std::size_t left = from.size(); left > 0; --left) {
            if (from.byte() != 0x60) throw std::runtime_error{"a type that is no function"};
            const std::size_t parameters = from.size();
            from.take(parameters);
            from.take(from.size());
            parameters_of_type_.push_back(static_cast<std::uint32_t>(parameters));
        }
    }

    // Import modules get names without underscores, which every wasm2c leaves alone.
    bytes imports(reader from)
    {
        bytes made;
        const std::size_t count = from.size();
        put_leb(made, count);
        for (std::size_t i = 0; i < count; ++i) {
            const std::string module = from.name();
            put_name(made, module == "wasi_snapshot_preview1" ? "wasi" : module);
            put_name(made, from.name());
            if (from.byte() != 0) throw std::runtime_error{"an import that is no function"};
            made.push_back(0);
            put_leb(made, from.leb());
        }
        return made;
    }

    void functions(reader from)
    {
        for (std::size_t left = from.size(); left > 0; --left) type_of_function_.push_back(from.size());
    }

    bytes globals(reader from)
    {
        const std::size_t count = from.size();
        if (count != 1) throw std::runtime_error{"globals beside the stack pointer: a reset would not restore them"};
        fuel_ = static_cast<std::uint32_t>(count);
        has_globals_ = true;
        bytes made;
        put_leb(made, count + 1);
        const std::size_t start = from.at();
        while (!from.done()) from.byte();
        put(made, from.since(start));
        made.push_back(type_i64);
        made.push_back(1);  // mutable
        made.push_back(op_i64_const);
        put_sleb(made, 0);
        made.push_back(op_end);
        return made;
    }

    bytes exports(reader from)
    {
        bytes kept;
        std::size_t count = 1;
        put_name(kept, "fuel");
        kept.push_back(3);
        put_leb(kept, fuel_);
        for (std::size_t left = from.size(); left > 0; --left) {
            const std::string name = from.name();
            const std::uint8_t kind = from.byte();
            const std::uint64_t index = from.leb();
            const auto place = wanted_.find(name);
            if (place == wanted_.end()) continue;
            put_name(kept, place->second);
            kept.push_back(kind);
            put_leb(kept, index);
            wanted_.erase(place);
            ++count;
        }
        bytes made;
        put_leb(made, count);
        put(made, kept);
        return made;
    }

    bytes code(reader from)
    {
        bytes made;
        const std::size_t count = from.size();
        put_leb(made, count);
        for (std::size_t i = 0; i < count; ++i) {
            const auto body = from.take(from.size());
            const auto parameters = parameters_of_type_.at(type_of_function_.at(i));
            const bytes metered = function_meter{body, fuel_, parameters}.run();
            put_leb(made, metered.size());
            put(made, metered);
        }
        return made;
    }

    reader in_;
    std::map<std::string, std::string> wanted_;
    bytes out_;
    bool has_globals_{false};
    std::uint32_t fuel_{0};
    std::vector<std::uint32_t> parameters_of_type_;
    std::vector<std::size_t> type_of_function_;
};

bytes read_file(const char* path)
{
    std::ifstream in{path, std::ios::binary};
    if (!in) throw std::runtime_error{std::string{"cannot read "} + path};
    return {std::istreambuf_iterator<char>{in}, {}};
}

std::map<std::string, std::string> read_exports(const char* path)
{
    const bytes text = read_file(path);
    std::istringstream in{std::string{text.begin(), text.end()}};
    std::map<std::string, std::string> wanted;
    for (std::string line; std::getline(in, line);) {
        if (line.empty() || line.front() == '#') continue;
        const auto equals = line.find('=');
        wanted.emplace(line.substr(0, equals), equals == std::string::npos ? line : line.substr(equals + 1));
    }
    return wanted;
}

}  // namespace

int main(int argc, char** argv)
{
    if (argc != 4) {
        std::fprintf(stderr, "usage: meter IN.wasm OUT.wasm EXPORTS.txt\n");
        return 2;
    }
    try {
        const bytes in = read_file(argv[1]);
        const bytes out = module_meter{in, read_exports(argv[3])}.run();
        std::ofstream file{argv[2], std::ios::binary | std::ios::trunc};
        file.write(reinterpret_cast<const char*>(out.data()), static_cast<std::streamsize>(out.size()));
        if (!file.flush()) throw std::runtime_error{std::string{"cannot write "} + argv[2]};
    } catch (const std::exception& e) {
        std::fprintf(stderr, "meter: %s\n", e.what());
        return 1;
    }
    return 0;
}
