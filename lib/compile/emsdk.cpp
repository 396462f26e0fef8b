#include "compile/emsdk.hpp"

#include "base/path.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>

namespace sandboxd::compile {

namespace {

constexpr std::string_view below_root = "/upstream/emscripten";

bool can_run(const std::string& file)
{
    struct stat info{};
    return ::stat(file.c_str(), &info) == 0 && S_ISREG(info.st_mode) && ::access(file.c_str(), X_OK) == 0;
}

bool is_file(const std::string& file)
{
    struct stat info{};
    return ::stat(file.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

std::optional<std::string> read_small(const std::string& file)
{
    constexpr std::streamsize most = 64 * 1024;
    std::ifstream in{file, std::ios::binary};
    if (!in) return std::nullopt;
    std::string text(static_cast<std::size_t>(most), '\0');
    in.read(text.data(), most);
    text.resize(static_cast<std::size_t>(in.gcount()));
    return text;
}

std::string real_path(const std::string& path)
{
    const std::unique_ptr<char, decltype(&std::free)> real{::realpath(path.c_str(), nullptr), &std::free};
    return real ? std::string{real.get()} : std::string{};
}

error missing(const std::string& what)
{
    return {errc::unavailable,
            what + "; run `emsdk install latest` and `emsdk activate latest` there, or set toolchain.emcc"};
}

constexpr bool is_blank(char c) noexcept { return c == ' ' || c == '\t' || c == '\r'; }

std::string_view without_blanks(std::string_view text) noexcept
{
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    return text;
}

// The first expression of a list ends at a comma outside of any call.
std::string_view first_of(std::string_view list) noexcept
{
    int depth = 0;
    for (std::size_t i = 0; i < list.size(); ++i) {
        if (list[i] == '(') ++depth;
        if (list[i] == ')') --depth;
        if (depth == 0 && (list[i] == ',' || list[i] == ']')) return list.substr(0, i);
    }
    return list;
}

std::optional<std::string> value_of(std::string_view text, std::string_view root)
{
    text = without_blanks(text);
    if (text.starts_with('[')) text = without_blanks(first_of(text.substr(1)));
    constexpr std::string_view join = "os.path.join(";
    const bool joins = text.starts_with(join);
    if (joins) text.remove_prefix(join.size());
    std::string path;
    for (;;) {
        text = without_blanks(text);
        constexpr std::string_view variable = "emsdk_path";
        if (text.starts_with(variable)) {
            path += root;
            text.remove_prefix(variable.size());
        } else if (text.starts_with('\'') || text.starts_with('"')) {
            const auto end = text.find(text.front(), 1);
            if (end == std::string_view::npos) return std::nullopt;
            const auto literal = text.substr(1, end - 1);
            if (literal.find('\\') != std::string_view::npos) return std::nullopt;
            if (joins && !path.empty()) path += '/';
            path += literal;
            text.remove_prefix(end + 1);
        } else {
            return std::nullopt;
        }
        text = without_blanks(text);
        if (!text.starts_with(joins ? ',' : '+')) break;
        text.remove_prefix(1);
    }
    if (path.empty() || path.front() != '/') return std::nullopt;
    return path;
}

}  // namespace

std::optional<std::string> emsdk_setting(std::string_view config, std::string_view key, std::string_view root)
{
    std::optional<std::string> found;
    while (!config.empty()) {
        const auto end = config.find('\n');
        auto line = config.substr(0, end);
        config.remove_prefix(end == std::string_view::npos ? config.size() : end + 1);
        if (!line.starts_with(key)) continue;
        line = without_blanks(line.substr(key.size()));
        if (!line.starts_with('=') || line.starts_with("==")) continue;
        line.remove_prefix(1);
        found = value_of(line, root);  // the last one counts, as in Python
    }
    return found;
}

std::optional<std::string> emsdk_of(const std::string& emcc)
{
    const auto real = real_path(emcc);
    const auto slash = real.rfind('/');
    // The target of Debian's link has another name, but its directory identifies it.
    const std::string directories[] = {real.substr(0, slash == std::string::npos ? 0 : slash),
                                       std::filesystem::path{emcc}.parent_path().native()};
    for (const auto& directory : directories) {
        if (!directory.ends_with(below_root)) continue;
        auto root = directory.substr(0, directory.size() - below_root.size());
        if (is_file(root + "/.emscripten") || is_file(directory + "/.emscripten")) return root;
    }
    return std::nullopt;
}

result<emsdk> read_emsdk(const std::string& root)
{
    emsdk found;
    found.root = root;
    while (found.root.size() > 1 && found.root.ends_with('/')) found.root.pop_back();
    if (found.root.size() < 2 || found.root.front() != '/')
        return missing("an emsdk is an absolute path, not \"" + root + "\"");
    const auto directory = found.root + std::string{below_root};
    found.emcc = directory + "/emcc";
    if (!can_run(found.emcc))
        return missing("there is no emsdk in " + found.root + ": " + found.emcc + " is not an executable file");
    for (const auto& candidate : {found.root + "/.emscripten", directory + "/.emscripten"}) {
        if (found.config.empty() && is_file(candidate)) found.config = candidate;
    }
    const auto config = found.config.empty() ? std::nullopt : read_small(found.config);
    if (!config) return missing("the emsdk in " + found.root + " has no .emscripten file that can be read");
    found.cache = emsdk_setting(*config, "CACHE", found.root).value_or(directory + "/cache");

    found.mounts.push_back(found.root);
    const auto real_root = real_path(found.root);
    const auto show = [&](const std::string& path) {
        for (const auto& one : {path, real_path(path)}) {
            if (one.size() < 2 || lies_in(one, found.root) || lies_in(one, real_root)) continue;
            if (std::ranges::find(found.mounts, one) == found.mounts.end()) found.mounts.push_back(one);
        }
    };
    show(found.cache);
    found.tools = {directory + "/emcc.py", directory + "/emscripten-version.txt", found.config};
    for (const std::string_view key : {"NODE_JS", "LLVM_ROOT", "BINARYEN_ROOT"}) {
        const auto path = emsdk_setting(*config, key, found.root);
        if (!path) continue;  // emcc reports this itself
        const bool node = key == "NODE_JS";
        if (node ? !can_run(*path) : ::access(path->c_str(), X_OK) != 0)
            return missing(found.config + ": " + std::string{key} + " is " + *path + ", which does not exist");
        // A directory that holds more than tools is not shown to jobs; Debian's tools are mounted anyway.
        if (*path != "/usr" && *path != "/usr/local" && *path != "/" && *path != "/opt") show(*path);
        if (key == "LLVM_ROOT") found.tools.push_back(*path + "/clang");
        if (node) found.tools.push_back(*path);
    }
    return found;
}

std::vector<warming> warmings()
{
    return {
        {false, {"-O0"}},
        {false, {"-O2"}},
        {false, {"-Oz", "-sMALLOC=emmalloc"}},
        {false, {"-O0", "-sPRINTF_LONG_DOUBLE=1", "-sSTACK_OVERFLOW_CHECK=2"}},
        {false, {"-O2", "-sSTANDALONE_WASM=1"}},
        {false, {"-O2", "-sSTANDALONE_WASM=1", "-sALLOW_MEMORY_GROWTH=1"}},
        {false, {"-O0", "-sFULL_ES2=1"}},
        {false, {"-O0", "-sFULL_ES3=1", "-sMAX_WEBGL_VERSION=2"}},
        {true, {"-O0"}},
        {true, {"-O2"}},
        {true, {"-O0", "-fexceptions", "-lembind"}},
        {true, {"-O2", "-fexceptions", "-lembind", "-fno-rtti", "-DEMSCRIPTEN_HAS_UNBOUND_TYPE_NAMES=0"}},
        {true, {"-O0", "-fwasm-exceptions"}},
        {true, {"-O2", "-fwasm-exceptions", "-lembind"}},
        {true, {"-O2", "-sMALLOC=emmalloc", "-sEXIT_RUNTIME=1"}},
    };
}

}  // namespace sandboxd::compile
