#include "compile/tool_identity.hpp"

#include "async/turns.hpp"
#include "base/log.hpp"
#include "base/unique_fd.hpp"
#include "compile/emsdk.hpp"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <deque>
#include <filesystem>
#include <set>
#include <system_error>

namespace sandboxd::compile {

namespace fs = std::filesystem;
namespace asio = boost::asio;

namespace {

constexpr std::size_t most_headers = 256;           // of a file
constexpr std::size_t most_table_bytes = 4u << 20;  // notes, dynamic section, names
constexpr std::size_t most_libraries = 64;          // of one program, with those of its libraries
constexpr std::size_t read_at_once = 256 * 1024;    // a turn's worth
constexpr std::size_t most_scripts = 20'000;
// File systems give times in steps of the kernel's clock, 10 ms at most.
constexpr auto clock_step = std::chrono::milliseconds{100};

// Libraries that make bytes. The C library and others that all programs have are not among them.
constexpr std::string_view libraries_that_count[] = {"libLLVM", "libclang", "liblld",   "libbinaryen", "libnode",
                                                     "libv8",   "libMLIR",  "libPolly", "libLTO"};

constexpr std::string_view llvm_programs[] = {"clang",   "clang++",      "wasm-ld",       "llvm-ar",
                                              "llvm-nm", "llvm-objcopy", "llvm-dwarfdump"};
constexpr std::string_view binaryen_programs[] = {
    "wasm-opt",  "wasm-emscripten-finalize", "wasm-metadce", "wasm2js", "wasm-ctor-eval", "wasm-as", "wasm-dis",
    "wasm-split"};

bool read_whole(int fd, void* into, std::size_t bytes, std::uint64_t offset)
{
    auto* to = static_cast<char*>(into);
    while (bytes > 0) {
        const auto got = ::pread(fd, to, bytes, static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        to += got;
        bytes -= static_cast<std::size_t>(got);
        offset += static_cast<std::uint64_t>(got);
    }
    return true;
}

std::optional<std::string> part_of(int fd, std::uint64_t offset, std::uint64_t bytes)
{
    if (bytes > most_table_bytes) return std::nullopt;
    std::string part(static_cast<std::size_t>(bytes), '\0');
    if (!read_whole(fd, part.data(), part.size(), offset)) return std::nullopt;
    return part;
}

constexpr std::size_t aligned(std::size_t size) noexcept { return (size + 3) & ~std::size_t{3}; }

// The build id among a segment's notes (elf(5)).
std::string build_id_in(std::string_view notes)
{
    while (notes.size() >= sizeof(ElfW(Nhdr))) {
        ElfW(Nhdr) head;
        std::memcpy(&head, notes.data(), sizeof head);
        notes.remove_prefix(sizeof head);
        const std::size_t name = head.n_namesz;
        const std::size_t bytes = head.n_descsz;
        if (name > notes.size() || aligned(name) > notes.size() || bytes > notes.size() - aligned(name)) return {};
        if (head.n_type == NT_GNU_BUILD_ID && notes.substr(0, name) == std::string_view{"GNU\0", 4} && bytes >= 8) {
            const auto id = notes.substr(aligned(name), bytes);
            return to_hex(reinterpret_cast<const std::uint8_t*>(id.data()), id.size());
        }
        notes.remove_prefix(std::min(notes.size(), aligned(name) + aligned(bytes)));
    }
    return {};
}

std::string text_at(const std::string& names, std::uint64_t at)
{
    return at < names.size() ? std::string{names.c_str() + at} : std::string{};
}

void read_dynamic(int fd, const std::vector<ElfW(Phdr)>& segments, std::string_view section, elf_facts& into)
{
    std::vector<std::uint64_t> needed;
    std::uint64_t runpath = 0;
    std::uint64_t table = 0;
    std::uint64_t bytes = 0;
    for (; section.size() >= sizeof(ElfW(Dyn)); section.remove_prefix(sizeof(ElfW(Dyn)))) {
        ElfW(Dyn) one;
        std::memcpy(&one, section.data(), sizeof one);
        if (one.d_tag == DT_NULL) break;
        if (one.d_tag == DT_NEEDED && needed.size() < most_libraries) needed.push_back(one.d_un.d_val);
        if (one.d_tag == DT_RUNPATH || one.d_tag == DT_RPATH) runpath = one.d_un.d_val;
        if (one.d_tag == DT_STRTAB) table = one.d_un.d_ptr;
        if (one.d_tag == DT_STRSZ) bytes = one.d_un.d_val;
    }
    for (const auto& segment : segments) {
        if (segment.p_type != PT_LOAD || table < segment.p_vaddr || table - segment.p_vaddr >= segment.p_filesz)
            continue;
        const auto names = part_of(fd, segment.p_offset + (table - segment.p_vaddr), bytes);
        if (!names) return;
        for (const auto at : needed) into.needed.push_back(text_at(*names, at));
        if (runpath > 0) into.runpath = text_at(*names, runpath);
        return;
    }
}

bool counts(const std::string& library)
{
    return std::ranges::any_of(libraries_that_count, [&](std::string_view one) { return library.starts_with(one); });
}

// Where the loader would find a library (ld.so(8)), as far as the system's own directories go.
std::string place_of_library(const std::string& name, const std::string& asking, const std::string& runpath)
{
    std::vector<std::string> directories;
    const auto origin = fs::path{asking}.parent_path().native();
    for (std::size_t at = 0; at < runpath.size();) {
        const auto end = std::min(runpath.find(':', at), runpath.size());
        auto one = runpath.substr(at, end - at);
        for (const std::string word : {"$ORIGIN", "${ORIGIN}"})
            if (const auto place = one.find(word); place != std::string::npos) one.replace(place, word.size(), origin);
        directories.push_back(std::move(one));
        at = end + 1;
    }
    utsname system{};
    const auto machine = ::uname(&system) == 0 ? std::string{system.machine} : std::string{};
    const auto beside = fs::path{origin}.parent_path().native();
    for (const auto& directory :
         {beside + "/lib", beside + "/lib/" + machine + "-linux-gnu", "/usr/lib/" + machine + "-linux-gnu",
          "/lib/" + machine + "-linux-gnu", std::string{"/usr/lib64"}, std::string{"/usr/lib"}, std::string{"/lib64"},
          std::string{"/lib"}, std::string{"/usr/local/lib"}, origin})
        directories.push_back(directory);
    std::error_code ignored;
    for (const auto& directory : directories) {
        auto file = directory + "/" + name;
        if (!directory.empty() && fs::is_regular_file(file, ignored)) return file;
    }
    return {};
}

// emcc's own code and what it copies into a program: Python and JavaScript. In the order of their names.
std::vector<std::string> scripts_in(const std::string& directory)
{
    std::set<std::string> found;
    std::error_code failed;
    const auto is_script = [](const fs::path& one) {
        const auto ending = one.extension();
        return ending == ".py" || ending == ".js" || ending == ".mjs" || ending == ".html" || ending == ".txt" ||
               ending == ".json";
    };
    for (auto at = fs::directory_iterator{directory, failed}; !failed && at != fs::directory_iterator{};
         at.increment(failed)) {
        if (at->is_regular_file(failed) && is_script(at->path()) &&
            !at->path().filename().native().starts_with("ChangeLog"))
            found.insert(at->path().native());
        failed.clear();
    }
    for (const auto* const below : {"tools", "src", "third_party"}) {
        failed.clear();
        for (auto at = fs::recursive_directory_iterator{directory + "/" + below, failed};
             !failed && at != fs::recursive_directory_iterator{} && found.size() < most_scripts; at.increment(failed)) {
            if (at->is_regular_file(failed) && is_script(at->path())) found.insert(at->path().native());
            failed.clear();
        }
    }
    return {found.begin(), found.end()};
}

// Files below a directory, with their sizes: hundreds of megabytes, which the package's scripts and its version stand
// for; another revision of it hardly has the same sizes.
std::map<std::string, std::uintmax_t> sizes_in(const std::string& directory)
{
    std::map<std::string, std::uintmax_t> found;
    std::error_code failed;
    if (directory.empty()) return found;
    for (auto at = fs::recursive_directory_iterator{directory, failed};
         !failed && at != fs::recursive_directory_iterator{} && found.size() < most_scripts; at.increment(failed)) {
        if (at->is_regular_file(failed)) found[at->path().native().substr(directory.size())] = at->file_size(failed);
        failed.clear();
    }
    return found;
}

// Where the headers are that every source may include: those of the libraries, and clang's own.
std::vector<std::string> headers_of(const tool_places& where)
{
    std::vector<std::string> found;
    if (where.libraries.empty())
        for (const auto* const below :
             {"include", "lib/libcxx/include", "lib/libcxxabi/include", "lib/libc/musl/include",
              "lib/libc/musl/arch/emscripten", "lib/libc/musl/arch/generic"})
            found.push_back(where.scripts + "/system/" + below);
    else
        found.push_back((fs::path{where.libraries}.parent_path() / "include").native());
    std::error_code failed;
    std::set<std::string> versions;
    // As clang looks for them: from the program itself, not from a link to it. Others on this machine do not count.
    const auto program = where.llvm + "/clang" + (where.suffix.empty() ? std::string{} : "-" + where.suffix);
    const auto of_clang = fs::canonical(program, failed).parent_path().parent_path() / "lib" / "clang";
    failed.clear();
    for (auto at = fs::directory_iterator{of_clang, failed}; !failed && at != fs::directory_iterator{};
         at.increment(failed))
        versions.insert((at->path() / "include").native());
    found.insert(found.end(), versions.begin(), versions.end());
    return found;
}

// Of a file's bytes, to its end or as far as it can be read; in turns.
asio::awaitable<std::string> digest_of(int fd, async::turns& turn)
{
    sha256 hash;
    std::string piece(read_at_once, '\0');
    for (std::uint64_t at = 0;;) {
        const auto got = ::pread(fd, piece.data(), piece.size(), static_cast<off_t>(at));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        hash.update(std::string_view{piece}.substr(0, static_cast<std::size_t>(got)));
        at += static_cast<std::uint64_t>(got);
        if (turn.over()) co_await turn.rest();
    }
    co_return to_hex(hash.finish());
}

// All files below a directory, by name and content. It is not kept: a thousand headers are read in a tenth of a second,
// and only when a toolchain is looked for.
asio::awaitable<void> add_contents(sha256& into, std::string directory)
{
    async::turns turn;
    const auto files = sizes_in(directory);
    for (const auto& [name, bytes] : files) {
        into.field(name);
        into.field(std::to_string(bytes));
        const unique_fd fd{::open((directory + name).c_str(), O_RDONLY | O_CLOEXEC)};
        into.field(co_await digest_of(fd.get(), turn));
        if (turn.over()) co_await turn.rest();
    }
}

// The digits that the configuration file gives a key as text.
std::string digits_of(std::string_view config, std::string_view key)
{
    std::string found;
    while (!config.empty()) {
        auto line = config.substr(0, config.find('\n'));
        config.remove_prefix(std::min(config.size(), line.size() + 1));
        if (!line.starts_with(key)) continue;
        const auto from = line.find_first_of("0123456789");
        if (from == std::string_view::npos) continue;
        found = line.substr(from, line.find_first_not_of("0123456789", from) - from);
    }
    return found;
}

}  // namespace

std::optional<elf_facts> read_elf(const std::string& file)
{
    const unique_fd fd{::open(file.c_str(), O_RDONLY | O_CLOEXEC)};
    ElfW(Ehdr) head{};
    constexpr int own_class = sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32;
    if (!fd || !read_whole(fd.get(), &head, sizeof head, 0) || std::memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
        head.e_ident[EI_CLASS] != own_class || head.e_phentsize != sizeof(ElfW(Phdr)) || head.e_phnum > most_headers)
        return std::nullopt;
    std::vector<ElfW(Phdr)> segments(head.e_phnum);
    if (!read_whole(fd.get(), segments.data(), segments.size() * sizeof(ElfW(Phdr)), head.e_phoff)) return std::nullopt;
    elf_facts facts;
    for (const auto& segment : segments) {
        if (segment.p_type != PT_NOTE && segment.p_type != PT_DYNAMIC) continue;
        const auto bytes = part_of(fd.get(), segment.p_offset, segment.p_filesz);
        if (!bytes) continue;
        if (segment.p_type == PT_DYNAMIC)
            read_dynamic(fd.get(), segments, *bytes, facts);
        else if (facts.build_id.empty())
            facts.build_id = build_id_in(*bytes);
    }
    return facts;
}

tool_places places_of(std::string_view config, const std::string& scripts, std::string_view root)
{
    const auto at = [&](std::string_view key) { return emsdk_setting(config, key, root).value_or(std::string{}); };
    const bool is_frozen =
        config.starts_with("FROZEN_CACHE = True") || config.find("\nFROZEN_CACHE = True") != std::string_view::npos;
    const auto cache = at("CACHE");
    return {.scripts = scripts,
            .llvm = at("LLVM_ROOT"),
            .binaryen = at("BINARYEN_ROOT"),
            .node = at("NODE_JS"),
            .suffix = digits_of(config, "CLANG_ADD_VERSION"),
            .libraries = is_frozen ? (cache.empty() ? scripts + "/cache" : cache) + "/sysroot/lib" : std::string{}};
}

// Null: there is no such file.
asio::awaitable<const tool_identity::seen*> tool_identity::look(std::string file)
{
    const unique_fd fd{::open(file.c_str(), O_RDONLY | O_CLOEXEC)};
    struct stat info{};
    if (!fd || ::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) co_return nullptr;
    const state now{info.st_dev, info.st_ino, info.st_size, info.st_ctim.tv_sec, info.st_ctim.tv_nsec};
    const auto known = seen_.find(file);
    if (known != seen_.end() && known->second.is_settled && known->second.when == now) co_return &known->second;
    const auto age = std::chrono::system_clock::now().time_since_epoch() - std::chrono::seconds{info.st_ctim.tv_sec} -
                     std::chrono::nanoseconds{info.st_ctim.tv_nsec};
    seen fresh{.when = now,
               .is_settled = age > clock_step,
               .content = std::to_string(info.st_size) + " ",
               .elf = read_elf(file)};
    if (fresh.elf && !fresh.elf->build_id.empty()) {
        fresh.content += "build id " + fresh.elf->build_id;
    } else {
        ++hashed_;
        async::turns turn;
        const auto digest = co_await digest_of(fd.get(), turn);
        fresh.content += "digest " + digest;
    }
    co_return &seen_.insert_or_assign(std::move(file), std::move(fresh)).first->second;
}

// A program, and the libraries that it has its code from.
asio::awaitable<void> tool_identity::add(sha256& into, std::string file)
{
    std::error_code failed;
    std::deque<std::string> waiting{fs::canonical(file, failed).native()};
    if (failed) {
        into.field("missing");
        co_return;
    }
    std::set<std::string> done;
    while (!waiting.empty()) {
        const auto next = std::move(waiting.front());
        waiting.pop_front();
        if (done.size() >= most_libraries || !done.insert(next).second) continue;
        const auto* const what = co_await look(next);
        if (what == nullptr) {
            into.field("missing");
            continue;
        }
        into.field(fs::path{next}.filename().native());
        into.field(what->content);
        if (!what->elf) continue;
        for (const auto& library : what->elf->needed) {
            if (!counts(library)) continue;
            const auto place = place_of_library(library, next, what->elf->runpath);
            if (!place.empty()) {
                waiting.push_back(fs::canonical(place, failed).native());
                continue;
            }
            // What is not known may be anything: this is no other machine's, and no other start's.
            log::warning(
                "cannot find a library of the toolchain; artifacts are not shared with other machines or later starts",
                {{"library", library}, {"of", next}});
            into.field(random_hex(16));
        }
    }
}

asio::awaitable<sha256_digest> tool_identity::of(tool_places where, std::vector<std::string> more)
{
    sha256 hash;
    hash.field("tools 2");
    async::turns turn;
    for (const auto& script : scripts_in(where.scripts)) {
        hash.field(fs::path{script}.lexically_relative(where.scripts).native());
        const auto* const what = co_await look(script);
        hash.field(what != nullptr ? what->content : "missing");
        if (turn.over()) co_await turn.rest();
    }
    for (const auto program : llvm_programs) {
        const auto plain = where.llvm + "/" + std::string{program};
        hash.field(program);
        co_await add(hash, plain);
        if (!where.suffix.empty()) co_await add(hash, plain + "-" + where.suffix);
    }
    for (const auto program : binaryen_programs) {
        hash.field(program);
        co_await add(hash, where.binaryen + "/bin/" + std::string{program});
    }
    hash.field("node");
    co_await add(hash, where.node);
    // What emcc has Node.js run: the versions of it.
    const std::array<std::string, 2> places{where.scripts + "/node_modules/", "/usr/share/nodejs/"};
    for (const auto& modules : places) {
        for (const auto* const name : {"acorn", "terser", "source-map"}) {
            hash.field(name);
            co_await add(hash, modules + name + "/package.json");
        }
    }
    for (auto& file : more) co_await add(hash, std::move(file));
    for (auto& directory : headers_of(where)) {
        hash.field("headers");
        co_await add_contents(hash, std::move(directory));
    }
    for (const auto& [name, bytes] : sizes_in(where.libraries)) {
        hash.field(name);
        hash.field(std::to_string(bytes));
    }
    co_return hash.finish();
}

}  // namespace sandboxd::compile
