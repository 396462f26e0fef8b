// What it is that makes an artifact's bytes: emcc's own scripts, clang, wasm-ld, binaryen, Node.js, the libraries in
// which Debian's clang and binaryen have their code, and the headers that every source may include. Two machines whose
// programs differ, if only by a distribution's patch, have different identities, and so different ids of compiles.
//
// A program or library is known by its size and its linker's build id, which is a digest of what was linked
// (ld(1), --build-id); where it has none, and for scripts, by a digest of all its bytes. Neither paths of directories
// nor times count: the same packages, installed another day, are the same.
#pragma once

#include "base/digest.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace sandboxd::compile {

// Of an ELF file for this kind of machine.
struct elf_facts {
    std::string build_id;             // hexadecimal; empty: it has none
    std::vector<std::string> needed;  // the names of the libraries that it asks for
    std::string runpath;              // where it has them looked for, with $ORIGIN

    bool operator==(const elf_facts&) const = default;
};

// Nothing: the file cannot be read, or is no such file.
std::optional<elf_facts> read_elf(const std::string& file);

// Where emcc has its tools.
struct tool_places {
    std::string scripts;   // the directory of emcc.py
    std::string llvm;      // LLVM_ROOT: clang, wasm-ld, …
    std::string binaryen;  // BINARYEN_ROOT, with bin/
    std::string node;      // NODE_JS
    std::string suffix;    // of LLVM's programs: Debian's are clang-14, …; empty: none
    // The system libraries, if emcc never makes others (FROZEN_CACHE): they came with it. Else they are made by the
    // rest.
    std::string libraries;
};

// By the text of a configuration file (.emscripten); what it does not say is empty. `root`: see emsdk_setting.
tool_places places_of(std::string_view config, const std::string& scripts, std::string_view root);

class tool_identity {
public:
    // A digest of all of them, and of `more` files. In turns: without build ids there are a hundred megabytes to read.
    // What was read is kept, and read again when the file's device, inode, size or time of change is another.
    boost::asio::awaitable<sha256_digest> of(tool_places where, std::vector<std::string> more);

    // How many files were read to their end.
    std::size_t hashed() const noexcept { return hashed_; }

private:
    using state = std::tuple<std::uint64_t, std::uint64_t, std::int64_t, std::int64_t, std::int64_t>;
    struct seen {
        state when{};
        bool is_settled{false};  // another change would have had another time
        std::string content;
        std::optional<elf_facts> elf;
    };

    boost::asio::awaitable<const seen*> look(std::string file);
    boost::asio::awaitable<void> add(sha256& into, std::string file);

    std::map<std::string, seen> seen_;
    std::size_t hashed_{0};
};

}  // namespace sandboxd::compile
