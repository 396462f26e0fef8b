#include "compile/tool_identity.hpp"

#include "support/eventually.hpp"
#include "support/on_loop.hpp"
#include "support/proc.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace fs = std::filesystem;
using namespace sandboxd;
using namespace sandboxd::compile;
using namespace sandboxd::test;

namespace {

void put(const fs::path& file, std::string_view bytes)
{
    fs::create_directories(file.parent_path());
    std::ofstream{file, std::ios::binary} << bytes;
}

// An ELF file with a build id, libraries that it needs, and bytes behind all that.
std::string elf(const std::string& build_id, const std::string& needed, const std::string& rest)
{
    std::string names(1, '\0');
    names += needed + '\0';
    std::string note(sizeof(ElfW(Nhdr)), '\0');
    const ElfW(Nhdr) note_head{4, static_cast<ElfW(Word)>(build_id.size()), NT_GNU_BUILD_ID};
    std::memcpy(note.data(), &note_head, sizeof note_head);
    note += std::string{"GNU\0", 4} + build_id;
    const auto first = sizeof(ElfW(Ehdr)) + 3 * sizeof(ElfW(Phdr));
    std::vector<ElfW(Dyn)> dynamic(4);
    dynamic[0].d_tag = needed.empty() ? DT_DEBUG : DT_NEEDED;
    dynamic[0].d_un.d_val = 1;
    dynamic[1].d_tag = DT_STRTAB;
    dynamic[1].d_un.d_ptr = first + note.size();
    dynamic[2].d_tag = DT_STRSZ;
    dynamic[2].d_un.d_val = names.size();
    const auto dynamic_bytes = dynamic.size() * sizeof dynamic[0];
    const auto all = first + note.size() + names.size() + dynamic_bytes;

    ElfW(Ehdr) head{};
    std::memcpy(head.e_ident, ELFMAG, SELFMAG);
    head.e_ident[EI_CLASS] = sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32;
    head.e_phoff = sizeof head;
    head.e_phentsize = sizeof(ElfW(Phdr));
    head.e_phnum = 3;
    ElfW(Phdr) segments[3]{};
    segments[0].p_type = PT_LOAD;
    segments[0].p_filesz = all;
    segments[1].p_type = build_id.empty() ? PT_NULL : PT_NOTE;
    segments[1].p_offset = first;
    segments[1].p_filesz = note.size();
    segments[2].p_type = PT_DYNAMIC;
    segments[2].p_offset = first + note.size() + names.size();
    segments[2].p_filesz = dynamic_bytes;

    std::string made(reinterpret_cast<const char*>(&head), sizeof head);
    made.append(reinterpret_cast<const char*>(segments), sizeof segments);
    made += note + names;
    made.append(reinterpret_cast<const char*>(dynamic.data()), dynamic_bytes);
    return made + rest;
}

// A toolchain of scripts and programs, in a directory of its own.
struct tree {
    tree()
    {
        put(root() / "emcc.py", "print('emcc')");
        put(root() / "tools/shared.py", "x = 1");
        put(root() / "src/library.js", "var a;");
        put(root() / "src/deep/er/more.js", "var b;");
        put(root() / "llvm/bin/clang-14", elf("01234567", "libLLVM-99.so.1", "clang"));
        put(root() / "llvm/bin/wasm-ld", "#!/bin/sh\necho ld 1\n");
        put(root() / "llvm/lib/libLLVM-99.so.1", elf("llvm 1..", "libc.so.6", "code"));
        put(root() / "bin/wasm-opt", "opt");
        put(root() / "node", "node");
        put(root() / "cache/sysroot/lib/libc.a", "libc");
        put(root() / "cache/sysroot/include/c++/v1/vector", "one");
        put(root() / "llvm/lib/clang/14/include/stddef.h", "one");
        put(root() / "system/include/a.h", "one");
        put(root() / ".emscripten",
            "LLVM_ROOT = emsdk_path + '/llvm/bin'\nBINARYEN_ROOT = emsdk_path\n"
            "NODE_JS = emsdk_path + '/node'\nFROZEN_CACHE = True\nCLANG_ADD_VERSION = '14'\n");
    }
    fs::path root() const { return fs::path{here.path()}; }
    tool_places places() const
    {
        return places_of(text_of((root() / ".emscripten").native()), root().native(), root().native());
    }
    std::string digest(tool_identity& by) const { return to_hex(on_loop(by.of(places(), {}))); }
    std::string digest() const
    {
        tool_identity fresh;
        return digest(fresh);
    }

    temporary_directory here;
};

}  // namespace

TEST_CASE("the same tools elsewhere are the same, and any other tool is another toolchain", "[compile]")
{
    const tree one;
    const tree other;
    const auto before = one.digest();
    CHECK(before.size() == 64);
    CHECK(other.digest() == before);

    const auto patched = elf("llvm 2..", "libc.so.6", "code");
    const std::pair<const char*, std::string> changes[] = {
        {"emcc.py", "print('EMCC')"},
        {"tools/shared.py", "x = 2"},
        {"src/library.js", "var A;"},
        {"src/deep/er/more.js", "var B;"},
        {"llvm/bin/clang-14", elf("76543210", "libLLVM-99.so.1", "clang")},
        {"llvm/bin/clang-14", elf("01234567", "libLLVM-99.so.1", "clang and more")},
        // Of the same size: nothing but its bytes tells.
        {"llvm/bin/wasm-ld", "#!/bin/sh\necho ld 2\n"},
        // A patch of the distribution's: clang itself is as it was.
        {"llvm/lib/libLLVM-99.so.1", patched},
        {"bin/wasm-opt", "OPT"},
        {"bin/wasm-metadce", "new"},
        {"node", "NODE"},
        {"cache/sysroot/lib/libc.a", "libc, larger"},
        {"cache/sysroot/lib/libm.a", "libm"},
        {"cache/sysroot/include/c++/v1/vector", "two"},
        {"cache/sysroot/include/new.h", ""},
        {"llvm/lib/clang/14/include/stddef.h", "two"},
    };
    tool_identity kept;
    CHECK(one.digest(kept) == before);
    for (const auto& [file, bytes] : changes) {
        CAPTURE(file, bytes);
        const auto path = one.root() / file;
        const bool was_there = fs::exists(path);
        const auto old = was_there ? text_of(path.native()) : std::string{};
        put(path, bytes);
        // An installer sets the time of a file back to its package's.
        const timespec times[2] = {{1'000'000'000, 0}, {1'000'000'000, 0}};
        REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
        CHECK(one.digest() != before);
        CHECK(one.digest(kept) != before);
        if (was_there)
            put(path, old);
        else
            fs::remove(path);
        CHECK(one.digest(kept) == before);
    }
    // emcc compiles what it needs: its library directory grows.
    put(one.root() / ".emscripten", "LLVM_ROOT = emsdk_path + '/llvm/bin'\n");
    CHECK(one.places().libraries.empty());
    // The headers are copied there from its system.
    const auto grown = one.digest();
    put(one.root() / "system/include/a.h", "two");
    CHECK(one.digest() != grown);
}

TEST_CASE("programs with a build id are not read to their end, others once", "[compile]")
{
    const tree one;
    tool_identity kept;
    one.digest(kept);
    CHECK(kept.hashed() > 0);
    // As soon as they are older than a step of the clock by which a change would be seen.
    CHECK(eventually([&] {
        const auto before = kept.hashed();
        one.digest(kept);
        return kept.hashed() == before;
    }));
    const auto read = kept.hashed();
    // Without a build id there is but the content.
    put(one.root() / "llvm/bin/clang-14", elf("", "libLLVM-99.so.1", "clang a"));
    const auto first = one.digest(kept);
    CHECK(kept.hashed() == read + 1);
    put(one.root() / "llvm/bin/clang-14", elf("", "libLLVM-99.so.1", "clang b"));
    CHECK(one.digest(kept) != first);
}

TEST_CASE("a toolchain with a library that is nowhere shares nothing", "[compile]")
{
    const tree one;
    fs::remove(one.root() / "llvm/lib/libLLVM-99.so.1");
    CHECK(one.digest() != one.digest());
}

TEST_CASE("what is no ELF file, or a broken one, is nothing worse", "[compile]")
{
    const temporary_directory here;
    const auto file = fs::path{here.path()} / "x";
    CHECK(read_elf(file.native()) == std::nullopt);
    const auto whole = elf("0123456789", "libLLVM-99.so.1", "");
    put(file, whole);
    const auto facts = read_elf(file.native());
    REQUIRE(facts);
    CHECK(facts->build_id == "30313233343536373839");
    CHECK(facts->needed == std::vector<std::string>{"libLLVM-99.so.1"});
    for (std::size_t size = 0; size < whole.size(); ++size) {
        put(file, whole.substr(0, size));
        read_elf(file.native());
    }
    for (std::size_t at = 0; at < whole.size(); ++at) {
        for (const char bits : {'\x01', '\x80', '\xff'}) {
            auto broken = whole;
            broken[at] = static_cast<char>(broken[at] ^ bits);
            put(file, broken);
            read_elf(file.native());
        }
    }
    SUCCEED();
}
