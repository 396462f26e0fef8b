// The arguments of a request that emcc gets. First come the tables, which are the policy, then one class that reads
// the arguments by these tables, token by token, and can only narrow what they allow.
#include "compile/argument_policy.hpp"

#include "base/ascii.hpp"
#include "base/utf8.hpp"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

namespace sandboxd::compile {

namespace {

// ---------------------------------------------------------------------------------------------
// The policy. Reviewers: this section is everything that is allowed; the code below can only narrow it.
//
// A setting is kept out if it
// - reads or writes a file (SHELL_FILE, SEPARATE_DWARF, MEM_INIT_METHOD),
// - runs code while compiling (EVAL_CTORS, EMBIND_AOT, LEGACY_VM_SUPPORT, the closure compiler),
// - downloads (the USE_* ports),
// - passes text on to another tool (BINARYEN_EXTRA_PASSES, JS_LIBRARIES),
// - prints host paths into the output (RETAIN_COMPILER_SETTINGS, VERBOSE),
// - opens the host's files to the program (NODERAWFS),
// - needs libraries that a frozen cache may lack (pthreads, LTO, sanitizers, dynamic linking), or
// - makes other artifacts than JavaScript, WebAssembly, a map and data (WASM=0, SPLIT_MODULE).

enum class kind {
    boolean,      // 0 or 1
    integer,      // decimal, from low to high
    bytes,        // the same, with an optional b, kb, mb or gb; a multiple of `step`
    choice,       // one word out of `choices`
    environment,  // web, worker, or both
    name,         // one identifier
    names,        // a list of identifiers
};

struct value_type {
    kind type;
    std::int64_t low{0};
    std::int64_t high{1};
    std::int64_t step{1};
    std::string_view choices{};  // separated by spaces
};

constexpr value_type boolean() { return {kind::boolean}; }
constexpr value_type integer(std::int64_t low, std::int64_t high) { return {kind::integer, low, high}; }
constexpr value_type bytes(std::int64_t low, std::int64_t high, std::int64_t step)
{
    return {kind::bytes, low, high, step};
}
constexpr value_type one_of(std::string_view choices) { return {kind::choice, 0, 0, 1, choices}; }
constexpr value_type environment() { return {kind::environment}; }
constexpr value_type one_name() { return {kind::name}; }
constexpr value_type names() { return {kind::names}; }

constexpr std::int64_t kib = 1024;
constexpr std::int64_t mib = 1024 * kib;
constexpr std::int64_t gib = 1024 * mib;
constexpr std::int64_t wasm_page = 64 * kib;
constexpr std::int64_t stack_alignment = 16;

struct setting {
    std::string_view key;
    value_type value;
    std::string_view why;
};

// -sKEY=VALUE. Keys that are not here are dropped.
constexpr setting known_settings[] = {
    // The shape of the JavaScript around the module.
    {"MODULARIZE", boolean(), "a factory function instead of globals"},
    {"EXPORT_ES6", boolean(), "an ES6 module"},
    {"EXPORT_NAME", one_name(), "the factory's name; an identifier, because it is written into the JavaScript"},
    {"ENVIRONMENT", environment(), "where it will run; browsers only, so no code that opens files of a host"},
    {"INVOKE_RUN", boolean(), "whether main() runs by itself"},
    {"EXIT_RUNTIME", boolean(), "whether the end of main() ends the runtime"},
    {"SINGLE_FILE", boolean(), "the module inside the JavaScript; then there is no .wasm artifact"},
    {"STRICT", boolean(), "no deprecated features"},
    {"STRICT_JS", boolean(), "'use strict' in the JavaScript"},
    {"DYNAMIC_EXECUTION", integer(0, 2), "0 leaves out eval(), for pages with a strict content policy"},
    {"POLYFILL", boolean(), "JavaScript for older browsers"},
    {"TEXTDECODER", integer(0, 2), "how strings are decoded"},
    {"WASM", integer(1, 1), "WebAssembly only: JavaScript instead of it makes other artifacts"},
    {"WASM_ASYNC_COMPILATION", boolean(), "how the module is loaded"},
    {"WASM_BIGINT", boolean(), "64-bit integers across the border"},
    {"STANDALONE_WASM", boolean(), "a module that needs little JavaScript"},
    // What is visible from outside.
    {"EXPORTED_FUNCTIONS", names(), "functions to keep; identifiers only, '@' would read them from a file"},
    {"EXPORTED_RUNTIME_METHODS", names(), "parts of the runtime to keep, for example ccall"},
    {"INCOMING_MODULE_JS_API", names(), "which properties of Module are looked at"},
    {"EXPORT_ALL", boolean(), "keep every function"},
    // Memory. Nothing is allocated while compiling: these are numbers in the module.
    {"INITIAL_MEMORY", bytes(wasm_page, 4 * gib - wasm_page, wasm_page), "at start"},
    {"MAXIMUM_MEMORY", bytes(wasm_page, 4 * gib, wasm_page), "at most"},
    {"ALLOW_MEMORY_GROWTH", boolean(), "whether it grows"},
    {"MEMORY_GROWTH_LINEAR_STEP", bytes(wasm_page, gib, wasm_page), "by how much it grows"},
    {"STACK_SIZE", bytes(kib, gib, stack_alignment), "of C's stack"},
    {"MALLOC", one_of("dlmalloc emmalloc emmalloc-debug emmalloc-memvalidate"), "which allocator"},
    {"ABORTING_MALLOC", boolean(), "whether running out of memory aborts"},
    {"ALLOW_TABLE_GROWTH", boolean(), "functions added at run time"},
    // Checks at run time.
    {"ASSERTIONS", integer(0, 2), "checks in the runtime"},
    {"SAFE_HEAP", integer(0, 2), "checks on every load and store"},
    {"STACK_OVERFLOW_CHECK", integer(0, 2), "checks on the stack's end"},
    // C and C++.
    {"DISABLE_EXCEPTION_CATCHING", boolean(), "0 makes catch work"},
    {"DISABLE_EXCEPTION_THROWING", boolean(), "1 leaves out throw"},
    {"EXCEPTION_CATCHING_ALLOWED", names(), "catch works in these functions alone"},
    {"SUPPORT_LONGJMP", integer(0, 1), "setjmp and longjmp"},
    {"EMULATE_FUNCTION_POINTER_CASTS", boolean(), "calls through a pointer of another type"},
    {"PRINTF_LONG_DOUBLE", boolean(), "full precision in printf"},
    {"FILESYSTEM", boolean(), "the file system in memory"},
    {"FORCE_FILESYSTEM", boolean(), "the same, even when nothing seems to use it"},
    {"ERROR_ON_UNDEFINED_SYMBOLS", boolean(), "whether a missing function is an error"},
    {"WARN_ON_UNDEFINED_SYMBOLS", boolean(), "whether it is worth a warning"},
    {"IGNORE_MISSING_MAIN", boolean(), "whether main() may be missing"},
    {"ALLOW_UNIMPLEMENTED_SYSCALLS", boolean(), "whether calls without an implementation link"},
    // Pausing and resuming. Costs the optimiser time, which the job's deadline bounds.
    {"ASYNCIFY", boolean(), "synchronous code over asynchronous APIs"},
    {"ASYNCIFY_STACK_SIZE", integer(kib, 16 * mib), "room for what is paused"},
    {"ASYNCIFY_IMPORTS", names(), "which imports pause; identifiers only, binaryen too takes '@' for a file"},
    {"ASYNCIFY_IGNORE_INDIRECT", boolean(), "no instrumentation of indirect calls"},
    {"ASYNCIFY_ONLY", names(), "which functions pause"},
    {"ASYNCIFY_REMOVE", names(), "which functions do not pause"},
    // Graphics: JavaScript libraries that ship with emcc, nothing to download.
    {"MIN_WEBGL_VERSION", integer(1, 2), "WebGL 1 or 2"},
    {"MAX_WEBGL_VERSION", integer(1, 2), "WebGL 1 or 2"},
    {"FULL_ES2", boolean(), "client-side arrays of OpenGL ES 2"},
    {"FULL_ES3", boolean(), "client-side arrays of OpenGL ES 3"},
    {"USE_GLFW", integer(2, 3), "version of the JavaScript GLFW"},
    {"USE_SDL", integer(0, 1), "SDL 1 in JavaScript; 2 and 3 would be downloaded"},
};

// Older names that programs and tutorials still use: LEGACY_SETTINGS of emcc's settings.js, later settings.py, from
// 3.1.6 to 5.0, if the new name is in the table above. They are read as the new ones.
enum class reading {
    as_it_is,
    truth,       // any number but 0 is 1
    one_is_two,  // 1 is 2, 0 is 1: USE_WEBGL2 became a version
    added,       // to the list of the new name, not instead of it
};
struct alias {
    std::string_view old_key;
    std::string_view key;
    reading how{reading::as_it_is};
};
constexpr alias aliases[] = {
    {"TOTAL_MEMORY", "INITIAL_MEMORY"},
    {"TOTAL_STACK", "STACK_SIZE"},
    {"WASM_MEM_MAX", "MAXIMUM_MEMORY"},
    {"BINARYEN_MEM_MAX", "MAXIMUM_MEMORY"},
    {"MEMORY_GROWTH_STEP", "MEMORY_GROWTH_LINEAR_STEP"},
    {"BINARYEN", "WASM"},
    {"BINARYEN_ASYNC_COMPILATION", "WASM_ASYNC_COMPILATION"},
    {"RESERVED_FUNCTION_POINTERS", "ALLOW_TABLE_GROWTH", reading::truth},
    {"USE_WEBGL2", "MAX_WEBGL_VERSION", reading::one_is_two},
    {"ASYNCIFY_WHITELIST", "ASYNCIFY_ONLY"},
    {"ASYNCIFY_BLACKLIST", "ASYNCIFY_REMOVE"},
    {"EXCEPTION_CATCHING_WHITELIST", "EXCEPTION_CATCHING_ALLOWED"},
    {"EXTRA_EXPORTED_RUNTIME_METHODS", "EXPORTED_RUNTIME_METHODS", reading::added},
};

// Settings that emcc has removed, with the values that stand for what it now always does (from the same lists).
// Dropping one of these changes nothing.
struct obsolete {
    std::string_view key;
    std::string_view values;  // separated by spaces; [] is an empty list, "" an empty text
};
constexpr obsolete obsolete_settings[] = {
    {"UNALIGNED_MEMORY", "0"},
    {"FORCE_ALIGNED_MEMORY", "0"},
    {"PGO", "0"},
    {"QUANTUM_SIZE", "4"},
    {"FUNCTION_POINTER_ALIGNMENT", "2"},
    {"BUILD_AS_SHARED_LIB", "0"},
    {"SAFE_SPLIT_MEMORY", "0"},
    {"SPLIT_MEMORY", "0"},
    {"BINARYEN_METHOD", "native-wasm"},
    {"PRECISE_I64_MATH", "1 2"},
    {"MEMFS_APPEND_TO_TYPED_ARRAYS", "1"},
    {"ERROR_ON_MISSING_LIBRARIES", "1"},
    {"EMITTING_JS", "1"},
    {"SKIP_STACK_IN_SMALL", "0 1"},
    {"SAFE_STACK", "0"},
    {"ELIMINATE_DUPLICATE_FUNCTIONS", "0 1"},
    {"ELIMINATE_DUPLICATE_FUNCTIONS_DUMP_EQUIVALENT_FUNCTIONS", "0"},
    {"ELIMINATE_DUPLICATE_FUNCTIONS_PASSES", "5"},
    {"WASM_OBJECT_FILES", "1"},
    {"BINARYEN_PASSES", "\"\""},
    {"SWAPPABLE_ASM_MODULE", "0"},
    {"ASM_JS", "1"},
    {"FINALIZE_ASM_JS", "0 1"},
    {"SEPARATE_ASM", "0"},
    {"SEPARATE_ASM_MODULE_NAME", "\"\""},
    {"FAST_UNROLLED_MEMCPY_AND_MEMSET", "0 1"},
    {"DOUBLE_MODE", "0 1"},
    {"PRECISE_F32", "0 1 2"},
    {"ALIASING_FUNCTION_POINTERS", "0 1"},
    {"AGGRESSIVE_VARIABLE_ELIMINATION", "0 1"},
    {"SIMPLIFY_IFS", "1"},
    {"DEAD_FUNCTIONS", "[]"},
    {"EXPORT_BINDINGS", "0 1"},
    {"RUNNING_JS_OPTS", "0"},
    {"EXPORT_FUNCTION_TABLES", "0"},
    {"BINARYEN_SCRIPTS", "\"\""},
    {"WARN_UNALIGNED", "0 1"},
    {"ASM_PRIMITIVE_VARS", "[]"},
    {"WORKAROUND_IOS_9_RIGHT_SHIFT_BUG", "0"},
    {"RUNTIME_FUNCS_TO_IMPORT", "[]"},
    {"LIBRARY_DEPS_TO_AUTOEXPORT", "[]"},
    {"EMIT_EMSCRIPTEN_METADATA", "0"},
    {"MEM_INIT_METHOD", "0"},
    {"USE_PTHREADS", "0"},
    {"PTHREADS", "0"},
    {"USES_DYNAMIC_ALLOC", "1"},
    {"REVERSE_DEPS", "auto all none"},
    {"RUNTIME_LOGGING", "0"},
    {"RUNTIME_DEBUG", "0"},
    {"MIN_EDGE_VERSION", "2147483647"},
    {"MIN_IE_VERSION", "2147483647"},
    {"WORKAROUND_OLD_WEBGL_UNIFORM_UPLOAD_IGNORED_OFFSET_BUG", "0"},
    {"AUTO_ARCHIVE_INDEXES", "0 1"},
    {"USE_ES6_IMPORT_META", "1"},
    {"DEMANGLE_SUPPORT", "0"},
    {"MAYBE_WASM2JS", "0"},
    {"HEADLESS", "0"},
    {"ASYNCIFY_LAZY_LOAD_CODE", "0"},
    {"USE_WEBGPU", "0"},
    {"PROXY_TO_WORKER", "0"},
    {"NODEJS_CATCH_EXIT", "0 1"},  // of Node.js, where these modules do not run
    {"NODEJS_CATCH_REJECTION", "0 1"},
    {"NODE_CODE_CACHING", "0"},
    {"POLYFILL_OLD_MATH_FUNCTIONS", "0"},
    {"RELOCATABLE", "0"},
    {"DETERMINISTIC", "0"},
    {"SOCKET_WEBRTC", "0"},
    {"LINKABLE", "0"},
    {"SIDE_MODULE", "0"},
    {"MAIN_MODULE", "0"},
    {"NODERAWFS", "0"},
    {"SPLIT_MODULE", "0"},
    {"SHELL_FILE", "\"\""},
    {"VERBOSE", "0 1"},  // what the compiler prints
    {"CLOSURE_WARNINGS", "quiet warn error"},
};

// The name of a key of the table before version `since` of the compiler.
struct renaming {
    std::string_view key;
    std::string_view old_key;
    emcc_version since;
};
constexpr renaming renamings[] = {
    {"STACK_SIZE", "TOTAL_STACK", {3, 1, 25}},
};

// Arguments without a value, in exact spelling. Only the last of a group counts, which is what people mean; emcc
// itself lets parts of an earlier one through (-Os -O0 still shrinks).
struct flag {
    std::string_view token;
    std::string_view canonical;
    std::string_view group;
    std::string_view why;
};
constexpr std::string_view fast_math = "-ffast-math";  // its token, and its group
constexpr flag flags[] = {
    {"-O0", "-O0", "-O", "optimisation"},
    {"-O1", "-O1", "-O", "optimisation"},
    {"-O2", "-O2", "-O", "optimisation"},
    {"-O3", "-O3", "-O", "optimisation"},
    {"-Os", "-Os", "-O", "optimisation for size"},
    {"-Oz", "-Oz", "-O", "optimisation for size"},
    {"-O", "-O2", "-O", "as emcc reads it"},
    {"-O4", "-O3", "-O", "as emcc reads it"},
    {"-Og", "-O1", "-O", "as clang reads it"},
    {"-g", "-g", "-g", "debug information inside the module"},
    {"-g0", "-g0", "-g", "none"},
    {"-g1", "-g1", "-g", "readable JavaScript"},
    {"-g2", "-g2", "-g", "and names of functions"},
    {"-g3", "-g", "-g", "the same as -g"},
    {"-g4", "-gsource-map", "-g", "its older name"},
    {"-ggdb", "-g", "-g", "debug information inside the module"},
    {"-ggdb0", "-g0", "-g", "none"},
    {"-ggdb1", "-gline-tables-only", "-g", "lines only"},
    {"-ggdb2", "-g", "-g", "debug information inside the module"},
    {"-ggdb3", "-g", "-g", "debug information inside the module"},
    {"-gdwarf", "-g", "-g", "debug information, of the version that emcc chooses"},
    {"-gdwarf-2", "-g", "-g", "debug information, of the version that emcc chooses"},
    {"-gdwarf-3", "-g", "-g", "debug information, of the version that emcc chooses"},
    {"-gdwarf-4", "-g", "-g", "debug information, of the version that emcc chooses"},
    {"-gdwarf-5", "-g", "-g", "debug information, of the version that emcc chooses"},
    {"-gline-tables-only", "-gline-tables-only", "-g", "lines only"},
    {"-gsource-map", "-gsource-map", "-g", "a source map beside the module"},
    {"-fexceptions", "-fexceptions", "-fexceptions", "C++ exceptions"},
    {"-fno-exceptions", "-fno-exceptions", "-fexceptions", "C++ exceptions"},
    {"-fwasm-exceptions", "-fwasm-exceptions", "-fexceptions", "C++ exceptions, by WebAssembly's own instructions"},
    {"-frtti", "-frtti", "-frtti", "run-time type information"},
    {"-fno-rtti", "-fno-rtti", "-frtti", "run-time type information"},
    {"-ffast-math", "-ffast-math", "-ffast-math", "floating point in any order"},
    {"-fno-fast-math", "-fno-fast-math", "-ffast-math", "floating point as written"},
    {"-fwrapv", "-fwrapv", "-fwrapv", "signed overflow wraps"},
    {"-fno-strict-aliasing", "-fno-strict-aliasing", "-fno-strict-aliasing", "for old code"},
    {"-msimd128", "-msimd128", "-msimd128", "WebAssembly SIMD"},
    {"-mbulk-memory", "-mbulk-memory", "-mbulk-memory", "WebAssembly bulk memory"},
    {"-mnontrapping-fptoint", "-mnontrapping-fptoint", "-mnontrapping-fptoint", "WebAssembly conversions"},
    // A library of emcc's own, and JavaScript of emcc's own. Not --emit-tsd and EMBIND_AOT, which run the program.
    {"-lembind", "-lembind", "-lembind", "embind: C++ functions and classes for JavaScript"},
    {"--bind", "-lembind", "-lembind", "its older name"},
    {"-pedantic", "-pedantic", "-pedantic", "warnings about extensions"},
    {"-pedantic-errors", "-pedantic-errors", "-pedantic", "errors about extensions"},
};

// -std=: the name that every compiler since 3.1.6 (clang 14) understands.
struct standard {
    std::string_view given;
    std::string_view canonical;
    language lang;
};
constexpr standard standards[] = {
    {"c89", "c89", language::c},           {"c90", "c89", language::c},           {"c99", "c99", language::c},
    {"c11", "c11", language::c},           {"c17", "c17", language::c},           {"c18", "c17", language::c},
    {"c23", "c2x", language::c},           {"c2x", "c2x", language::c},           {"gnu89", "gnu89", language::c},
    {"gnu90", "gnu89", language::c},       {"gnu99", "gnu99", language::c},       {"gnu11", "gnu11", language::c},
    {"gnu17", "gnu17", language::c},       {"gnu18", "gnu17", language::c},       {"gnu23", "gnu2x", language::c},
    {"gnu2x", "gnu2x", language::c},       {"c++98", "c++98", language::cpp},     {"c++03", "c++03", language::cpp},
    {"c++11", "c++11", language::cpp},     {"c++14", "c++14", language::cpp},     {"c++17", "c++17", language::cpp},
    {"c++20", "c++20", language::cpp},     {"c++2a", "c++20", language::cpp},     {"c++23", "c++2b", language::cpp},
    {"c++2b", "c++2b", language::cpp},     {"gnu++98", "gnu++98", language::cpp}, {"gnu++03", "gnu++03", language::cpp},
    {"gnu++11", "gnu++11", language::cpp}, {"gnu++14", "gnu++14", language::cpp}, {"gnu++17", "gnu++17", language::cpp},
    {"gnu++20", "gnu++20", language::cpp}, {"gnu++2a", "gnu++20", language::cpp}, {"gnu++23", "gnu++2b", language::cpp},
    {"gnu++2b", "gnu++2b", language::cpp},
};

// What is lost when an argument is dropped, by its prefix. The first matching row counts. An argument without a row
// may change anything.
struct loss {
    std::string_view begin;  // or all of it, where `whole`
    std::string_view effect;
    bool changes_program;
    bool whole{false};
    bool takes_value{false};  // the next token, where the token is `begin` and no more
};
constexpr loss setting_losses[] = {
    {"USE_PTHREADS", "threads: std::thread and pthread_create fail at run time without it", true},
    {"PTHREAD", "threads: std::thread and pthread_create fail at run time without them", true},
    {"PROXY_TO_PTHREAD", "threads: main() runs where the page does", true},
    {"USE_CLOSURE_COMPILER", "the size of app.js", false},
    {"USE_OFFSET_CONVERTER", "lines in stack traces", false},
    {"USE_ES6_IMPORT_META", "how app.js finds app.wasm, which is as emcc does it by default", true},
    {"USE_WEBGPU", "WebGPU: its functions are missing", true},
    {"USE_", "a library that emcc would download: its headers and functions are missing", true},
    {"SDL2_", "the formats of a library that is not available", true},
    {"WASM=", "JavaScript instead of WebAssembly: the program comes as WebAssembly", true},
    {"WASM2JS", "JavaScript instead of WebAssembly: the program comes as WebAssembly", true},
    {"MAIN_MODULE", "dynamic linking: dlopen fails", true},
    {"SIDE_MODULE", "dynamic linking: a complete program is made instead", true},
    {"RELOCATABLE", "dynamic linking", true},
    {"NODERAWFS", "the files of a host: the program has files in memory", true},
    {"SHELL_FILE", "a page around the program: there is no page", false},
    {"MINIFY_HTML", "a page around the program: there is no page", false},
    {"CLOSURE", "the warnings about the size of app.js", false},
    {"FETCH", "requests over the network from C", true},
    {"WASMFS", "another file system in memory", true},
    {"LEGACY_GL_EMULATION", "OpenGL as it was before shaders", true},
    {"LEGACY_VM_SUPPORT", "browsers without WebAssembly", true},
    {"ASYNCIFY", "which functions can pause", true},
    {"JSPI", "synchronous code over asynchronous APIs", true},
    {"DEMANGLE_SUPPORT", "names in stack traces", false},
    {"LLD_REPORT_UNDEFINED", "the linker's messages about missing functions", false},
    {"EVAL_CTORS", "how fast the program starts", false},
    {"", "a setting, which keeps its default", true},
};
constexpr loss losses[] = {
    {"-pthread", "threads: std::thread and pthread_create fail at run time without it", true, true},
    {"-std=", "the language's standard: the compiler's default is used", true},
    {"-O", "how the program is optimised: the default level is used", false},
    {"-g", "debug information", false},
    {"-D", "a macro, which stays undefined", true},
    {"-U", "a macro, which stays as it is", true, false, true},
    {"-I", "where the compiler searches for headers", true},
    {"-iquote", "where the compiler searches for headers", true},
    {"-isystem", "where the compiler searches for headers", true},
    {"-idirafter", "where the compiler searches for headers", true, false, true},
    {"-isysroot", "where the compiler searches for headers and libraries", true, false, true},
    {"--sysroot", "where the compiler searches for headers and libraries", true, false, true},
    {"-include", "a file that is read before the source", true, false, true},
    {"-imacros", "a file whose macros are read before the source", true, false, true},
    {"-Wl,--gc-sections", "nothing: unused functions are left out anyway", false, true},
    {"-Wl,--as-needed", "nothing: programs are linked statically", false, true},
    {"-Wl,--no-undefined", "nothing: a missing function is an error anyway", false, true},
    {"-Wl,-z,defs", "nothing: a missing function is an error anyway", false, true},
    {"-Wl,-z,relro", "nothing: WebAssembly has no such tables", false, true},
    {"-Wl,-z,now", "nothing: programs are linked statically", false, true},
    {"-Wl,-z,noexecstack", "nothing: WebAssembly's code is not in memory", false, true},
    {"-Wl,--start-group", "nothing: libraries are searched until nothing is missing", false, true},
    {"-Wl,--end-group", "nothing: libraries are searched until nothing is missing", false, true},
    {"-Wl,-O", "how the program is optimised", false},
    {"-Wl,-s", "names, which are left out anyway without -g", false, true},
    {"-Wl,-S", "debug information, which is left out anyway without -g", false, true},
    {"-Wl,--strip-", "names, which are left out anyway without -g", false},
    {"-Wl,-rpath", "nothing: programs are linked statically", false},
    {"-Wl,-Map", "a list of addresses, which is not made", false},
    {"-Wl,--color-diagnostics", "how messages look", false},
    {"-Wl,", "options for the linker", true},
    {"-Wp,", "options for the preprocessor", true},
    {"-Wa,", "options for the assembler", true},
    {"-W", "a warning", false},
    {"-w", "warnings, which are printed", false, true},
    {"-fdiagnostics", "how messages look", false},
    {"-fcolor", "how messages look", false},
    {"-fno-color", "how messages look", false},
    {"-fno-diagnostics", "how messages look", false},
    {"-fno-caret-diagnostics", "how messages look", false, true},
    {"-fansi-escape-codes", "how messages look", false, true},
    {"-fmessage-length", "how messages look", false},
    {"-ferror-limit", "how many errors are printed", false},
    {"-fmax-errors", "how many errors are printed", false},
    {"-ftemplate-backtrace-limit", "how many notes are printed", false},
    {"-ftime-", "what the compiler prints", false},
    {"-fsanitize", "checks while the program runs", true},
    {"-flto", "optimisation across files", false},
    {"-fno-lto", "nothing: each file is optimised by itself", false, true},
    {"-fPIC", "nothing: a program is linked at a fixed address", false, true},
    {"-fpic", "nothing: a program is linked at a fixed address", false, true},
    {"-fPIE", "nothing: a program is linked at a fixed address", false, true},
    {"-fpie", "nothing: a program is linked at a fixed address", false, true},
    {"-fno-PIC", "nothing: a program is linked at a fixed address", false, true},
    {"-fno-pic", "nothing: a program is linked at a fixed address", false, true},
    {"-fno-PIE", "nothing: a program is linked at a fixed address", false, true},
    {"-fno-pie", "nothing: a program is linked at a fixed address", false, true},
    {"-fno-plt", "nothing: programs are linked statically", false, true},
    {"-fno-semantic-interposition", "nothing: programs are linked statically", false, true},
    {"-fvisibility", "nothing: EXPORTED_FUNCTIONS says what is seen from outside", false},
    {"-fomit-frame-pointer", "nothing: WebAssembly has no frame pointer", false, true},
    {"-fno-omit-frame-pointer", "nothing: WebAssembly has no frame pointer", false, true},
    {"-fno-omit-leaf-frame-pointer", "nothing: WebAssembly has no frame pointer", false, true},
    {"-mno-omit-leaf-frame-pointer", "nothing: WebAssembly has no frame pointer", false, true},
    {"-ffunction-sections", "nothing: each function has a section of its own anyway", false, true},
    {"-fdata-sections", "nothing: each object has a section of its own anyway", false, true},
    {"-funwind-tables", "nothing: WebAssembly has no unwind tables", false, true},
    {"-fno-unwind-tables", "nothing: WebAssembly has no unwind tables", false, true},
    {"-fasynchronous-unwind-tables", "nothing: WebAssembly has no unwind tables", false, true},
    {"-fno-asynchronous-unwind-tables", "nothing: WebAssembly has no unwind tables", false, true},
    {"-fstack-protector", "nothing: WebAssembly programs cannot reach return addresses", false},
    {"-fno-stack-protector", "nothing: WebAssembly programs cannot reach return addresses", false, true},
    {"-fstack-clash-protection", "nothing: WebAssembly has no guard pages", false, true},
    {"-fcf-protection", "nothing: WebAssembly checks every indirect call", false},
    {"-fno-common", "nothing: it is the compiler's default", false, true},
    {"-fsigned-char", "nothing: it is the compiler's default", false, true},
    {"-fstrict-aliasing", "nothing: it is the compiler's default", false, true},
    {"-fno-threadsafe-statics", "nothing: it is the compiler's default without threads", false, true},
    {"-fno-ident", "nothing: the compiler's name is not in the program", false, true},
    {"-fuse-ld", "nothing: wasm-ld links", false},
    {"-fvectorize", "how the program is optimised", false, true},
    {"-fno-vectorize", "how the program is optimised", false, true},
    {"-ftree-", "how the program is optimised", false},
    {"-fslp-vectorize", "how the program is optimised", false, true},
    {"-fno-slp-vectorize", "how the program is optimised", false, true},
    {"-fno-unroll-loops", "how the program is optimised", false, true},
    {"-fno-inline", "how the program is optimised", false},
    {"-funroll-loops", "how the program is optimised", false, true},
    {"-finline", "how the program is optimised", false},
    {"-f", "how the compiler reads the source or generates code", true},
    {"-march", "nothing: it selects a processor other than WebAssembly", false},
    {"-mtune", "nothing: it selects a processor other than WebAssembly", false},
    {"-mcpu", "nothing: it selects a processor other than WebAssembly", false},
    {"-MD", "a list of the headers, which is not made", false, true},
    {"-MMD", "a list of the headers, which is not made", false, true},
    {"-MP", "a list of the headers, which is not made", false, true},
    {"-MT", "a list of the headers, which is not made", false, false, true},
    {"-MQ", "a list of the headers, which is not made", false, false, true},
    {"-MF", "a list of the headers, which is not made", false, false, true},
    {"-MJ", "a list of the commands, which is not made", false, false, true},
    {"-m32", "nothing: a pointer has 32 bits anyway", false, true},
    {"-mllvm", "how the program is optimised", true, true, true},
    {"-m", "which instructions are used", true},
    {"-pipe", "nothing", false, true},
    {"-o", "nothing: the server names the output, app.js", false, false, true},
    {"-v", "what the compiler prints", false, true},
    {"--verbose", "what the compiler prints", false, true},
    {"-H", "what the compiler prints", false, true},
    {"-save-temps", "files beside the program, which are not kept", false},
    {"--save-temps", "files beside the program, which are not kept", false},
    {"-lm", "nothing: it is always linked", false, true},
    {"-lc", "nothing: it is always linked", false, true},
    {"-lstdc++", "nothing: it is always linked", false, true},
    {"-lc++", "nothing: it is always linked", false, true},
    {"-ldl", "nothing: it is always linked", false, true},
    {"-lrt", "nothing: it is always linked", false, true},
    {"-lpthread", "nothing: it is always linked", false, true},
    {"-lGL", "nothing: it is linked where it is used", false, true},
    {"-lglfw", "nothing: it is linked where it is used", false, true},
    {"-lSDL", "nothing: it is linked where it is used", false, true},
    {"-lopenal", "nothing: it is linked where it is used", false, true},
    {"-lhtml5", "nothing: it is linked where it is used", false, true},
    {"-lhtml5.js", "nothing: it is linked where it is used", false, true},
    {"-static", "nothing: programs are linked statically", false, true},
    {"-static-libgcc", "nothing: programs are linked statically", false, true},
    {"-static-libstdc++", "nothing: programs are linked statically", false, true},
    {"-rdynamic", "nothing: programs are linked statically", false, true},
    {"-pie", "nothing: a program is linked at a fixed address", false, true},
    {"-no-pie", "nothing: a program is linked at a fixed address", false, true},
    {"-nopie", "nothing: a program is linked at a fixed address", false, true},
    {"-shared", "a library instead of a program", true, true},
    {"-ansi", "the language's standard: the compiler's default is used; -std=c89 and -std=c++98 are allowed", true,
     true},
    {"-l", "a library, which is not linked", true},
    {"-L", "where the linker searches for libraries", true, false, true},
    {"-x", "the language: the file's ending or \"type\" decides", true, false, true},
    {"-Xlinker", "options for the linker", true, true, true},
    {"-Xpreprocessor", "options for the preprocessor", true, true, true},
    {"-Xassembler", "options for the assembler", true, true, true},
    {"-Xclang", "options for the compiler", true, true, true},
    {"-target", "nothing: it is always WebAssembly", false, true, true},
    {"--target", "nothing: it is always WebAssembly", false, false, true},
    {"-arch", "nothing: it is always WebAssembly", false, true, true},
    {"-T", "options for the linker", true, true, true},
    {"-u", "options for the linker", true, true, true},
    {"-z", "options for the linker", true, true, true},
    {"-c", "an object file instead of a program", true, true},
    {"-S", "assembly instead of a program", true, true},
    {"-E", "preprocessed text instead of a program", true, true},
    {"-M", "a list of the headers instead of a program", true},
    {"--closure", "the size of app.js", false, false, true},
    {"--minify", "how app.js looks", false, false, true},
    {"--profiling", "names in profiles", false},
    {"-profiling", "names in profiles", false},
    {"--emit-symbol-map", "a list of names, which is not made", false},
    {"--emit-tsd", "types for TypeScript, which are not made", false, false, true},
    {"--source-map-base", "where a debugger looks for the source map", false},
    {"--pre-js", "JavaScript that goes into app.js", true, false, true},
    {"--post-js", "JavaScript that goes into app.js", true, false, true},
    {"--extern-pre-js", "JavaScript that goes into app.js", true, false, true},
    {"--extern-post-js", "JavaScript that goes into app.js", true, false, true},
    {"--js-library", "functions in JavaScript that the program calls", true, false, true},
    {"--js-transform", "how app.js is rewritten", true, false, true},
    {"--memory-init-file", "nothing: the module holds its data itself", false, false, true},
    {"--output-eol", "how lines end in app.js", false, false, true},
    {"--cache", "nothing: the server has a cache of its own", false, false, true},
    {"--default-obj-ext", "nothing: objects are not kept", false, false, true},
    {"--exclude-file", "the files to leave out when a folder is packed", true, false, true},
    {"--shell-file", "a page around the program: there is no page", false, false, true},
    {"--emrun", "a page around the program: there is no page", false},
    {"--use-port", "a library that emcc would download: its headers and functions are missing", true, false, true},
    {"--embed-file", "a file that the program can read", true},
    {"--preload-file", "a file that the program can read", true},
    {"--no-entry", "whether main() may be missing; it may", false, true},
    {"--threadprofiler", "a profiler in the page", false},
    {"--cpuprofiler", "a profiler in the page", false},
    {"--memoryprofiler", "a profiler in the page", false},
    {"-", "unknown to this server", true},
    {"", "unknown to this server", true},
};

// A row after one that matches everything that it matches is never found.
template <std::size_t rows>
consteval bool each_row_is_found(const loss (&table)[rows])
{
    for (const auto& row : table) {
        for (const auto& first : table) {
            if (first.whole ? first.begin != row.begin : !row.begin.starts_with(first.begin)) continue;
            if (&first != &row) return false;
            break;
        }
    }
    return true;
}
static_assert(each_row_is_found(setting_losses));
static_assert(each_row_is_found(losses));

// Besides these tables, and checked by the functions named:
//   -D<NAME>[(<names>)][=<value>] define()       C identifiers; no '@', no control character
//   -I, -iquote, -isystem         search()       folders of the request's files only, relative
//   -W[no-][error=]<name>         is_warning()   lower case; no comma, so no -Wl, -Wp, -Wa
//   --embed-file, --preload-file  pack()         files of the request only, relative on both sides
//   --source-map-base             is_map_base()  an http(s) or relative URL

// ---------------------------------------------------------------------------------------------

constexpr bool is_control(char c) noexcept
{
    const auto octet = static_cast<unsigned char>(c);
    return octet < 0x20 || octet == 0x7f;
}

bool is_identifier(std::string_view text) noexcept
{
    return !text.empty() && !is_digit(text.front()) &&
           std::ranges::all_of(text, [](char c) { return is_letter(c) || is_digit(c) || c == '_'; });
}

std::string_view trimmed(std::string_view text) noexcept
{
    while (text.starts_with(' ')) text.remove_prefix(1);
    while (text.ends_with(' ')) text.remove_suffix(1);
    return text;
}

// 'text' or "text" without its quotes; anything else unchanged.
std::string_view unquoted(std::string_view text) noexcept
{
    const bool quoted =
        text.size() >= 2 && (text.front() == '\'' || text.front() == '"') && text.front() == text.back();
    return quoted ? text.substr(1, text.size() - 2) : text;
}

// The same, but only if the quotes are certainly a pair around the whole text.
std::string_view without_shell_quotes(std::string_view text) noexcept
{
    const auto inner = unquoted(text);
    const bool pair = inner.size() < text.size() && inner.find(text.front()) == std::string_view::npos;
    return pair ? inner : text;
}

// A token without surrounding blanks and without quotes that a shell would have removed. Unchanged if there is no
// option inside.
std::string_view whole_argument(std::string_view token) noexcept
{
    auto inner = trimmed(token);
    if (!inner.starts_with('-')) inner = trimmed(unquoted(inner));
    return inner.starts_with('-') ? inner : token;
}

std::string quoted_for_people(std::string_view token)
{
    constexpr std::size_t shown = 200;
    std::string text = to_valid_utf8(utf8_prefix(token, shown));
    if (token.size() > shown) text += "…";
    return text;
}

const loss& loss_of(std::span<const loss> table, std::string_view text) noexcept
{
    const auto fits = [&](const loss& row) { return row.whole ? text == row.begin : text.starts_with(row.begin); };
    return *std::ranges::find_if(table, fits);  // the last row fits everything
}

const alias* find_alias(std::string_view key) noexcept
{
    for (const auto& known : aliases)
        if (key == known.old_key) return &known;
    return nullptr;
}

const setting* find_setting(std::string_view key) noexcept
{
    if (const auto* old = find_alias(key)) key = old->key;
    for (const auto& known : known_settings)
        if (key == known.key) return &known;
    return nullptr;
}

std::string_view spelled_for(std::string_view key, const emcc_version& version) noexcept
{
    for (const auto& known : renamings)
        if (key == known.key && version < known.since) return known.old_key;
    return key;
}

// Whether dropping KEY=value changes nothing.
bool is_obsolete(std::string_view key, std::string_view value) noexcept
{
    const auto* known = std::ranges::find(obsolete_settings, key, &obsolete::key);
    if (known == std::end(obsolete_settings)) return false;
    value = unquoted(value);
    std::string_view rest = known->values;
    while (!rest.empty()) {
        const auto space = rest.find(' ');
        const auto one = rest.substr(0, space);
        if (value == unquoted(one)) return true;
        rest.remove_prefix(space == std::string_view::npos ? rest.size() : space + 1);
    }
    return false;
}

std::string accepts(const value_type& value)
{
    switch (value.type) {
        case kind::boolean: return "0 or 1";
        case kind::integer:
            return value.low == value.high
                       ? std::to_string(value.low)
                       : "an integer from " + std::to_string(value.low) + " to " + std::to_string(value.high);
        case kind::bytes:
            return "a number of bytes from " + std::to_string(value.low) + " to " + std::to_string(value.high) +
                   ", a multiple of " + std::to_string(value.step) + " (16mb is fine too)";
        case kind::choice: return "one of: " + std::string{value.choices};
        case kind::environment: return "web, worker or web,worker";
        case kind::name: return "an identifier";
        case kind::names: break;
    }
    return "a list of identifiers, such as _main,_add";
}

// A decimal number that cannot overflow; nullopt for anything else.
std::optional<std::int64_t> read_number(std::string_view text) noexcept
{
    constexpr std::size_t most_digits = 12;
    if (text.empty() || text.size() > most_digits || !std::ranges::all_of(text, is_digit)) return std::nullopt;
    std::int64_t value = 0;
    for (const char c : text) value = value * 10 + (c - '0');
    return value;
}

std::optional<std::int64_t> read_bytes(std::string_view text) noexcept
{
    struct unit {
        std::string_view suffix;
        std::int64_t factor;
    };
    // As emcc has it (expand_byte_size_suffixes in emcc.py), blanks before the unit included.
    static constexpr unit units[] = {{"kb", kib}, {"mb", mib}, {"gb", gib}, {"tb", 1024 * gib}, {"b", 1}};
    text = trimmed(text);
    const auto same = [](char a, char b) { return (is_upper(a) ? a - 'A' + 'a' : a) == b; };
    std::int64_t factor = 1;
    for (const auto& u : units) {
        if (text.size() > u.suffix.size() &&
            std::ranges::equal(text.substr(text.size() - u.suffix.size()), u.suffix, same)) {
            text = trimmed(text.substr(0, text.size() - u.suffix.size()));
            factor = u.factor;
            break;
        }
    }
    const auto number = read_number(text);
    if (!number || *number > 4 * gib / factor) return std::nullopt;
    return *number * factor;
}

// [_a,_b], ['_a','_b'], ["_a"], _a,_b, and each of these in quotes that a shell would have removed: "['_a']",
// '["_a"]', "[\"_a\"]". std::nullopt when a part has none of these forms.
std::optional<std::vector<std::string_view>> read_list(std::string_view text, std::size_t max_items)
{
    text = trimmed(text);
    const auto inner = trimmed(unquoted(text));
    if (inner.starts_with('[') && inner.ends_with(']')) text = inner;
    text = trimmed(without_shell_quotes(text));  // not 'a','b', which has quotes of its own at both ends
    if (text.starts_with('[')) {
        if (!text.ends_with(']') || text.size() < 2) return std::nullopt;
        text = trimmed(text.substr(1, text.size() - 2));
    }
    std::vector<std::string_view> items;
    while (!text.empty()) {
        const auto comma = text.find(',');
        const auto item = unquoted(trimmed(text.substr(0, comma)));
        if (item.empty() || items.size() == max_items) return std::nullopt;
        items.push_back(item);
        if (comma == std::string_view::npos) break;
        text.remove_prefix(comma + 1);
        if (text.empty()) return std::nullopt;
    }
    return items;
}

// The canonical spelling of a value, std::nullopt when it is not one of that type.
std::optional<std::string> canonical_value(const value_type& type, std::string_view text, const policy_limits& limits)
{
    switch (type.type) {
        case kind::boolean:
        case kind::integer: {
            text = unquoted(text);
            // People who know JSON or Python write these.
            if (type.type == kind::boolean && (text == "true" || text == "True")) text = "1";
            if (type.type == kind::boolean && (text == "false" || text == "False")) text = "0";
            const auto number = read_number(text);
            if (!number || *number < type.low || *number > type.high) return std::nullopt;
            return std::to_string(*number);
        }
        case kind::bytes: {
            const auto number = read_bytes(unquoted(text));
            if (!number || *number < type.low || *number > type.high || *number % type.step != 0) return std::nullopt;
            return std::to_string(*number);
        }
        case kind::choice: {
            const auto word = unquoted(text);
            std::string_view rest = type.choices;
            while (!rest.empty()) {
                const auto space = rest.find(' ');
                if (rest.substr(0, space) == word) return std::string{word};
                rest.remove_prefix(space == std::string_view::npos ? rest.size() : space + 1);
            }
            return std::nullopt;
        }
        case kind::environment: {
            constexpr std::size_t places = 2;
            const auto list = read_list(unquoted(text), places);
            if (!list || list->empty()) return std::nullopt;
            bool web = false;
            bool worker = false;
            for (const auto place : *list) {
                if (place == "web")
                    web = true;
                else if (place == "worker")
                    worker = true;
                else
                    return std::nullopt;
            }
            if (web && worker) return "web,worker";
            return web ? "web" : "worker";
        }
        case kind::name: {
            const auto word = unquoted(text);
            if (!is_identifier(word) || word.size() > limits.max_identifier_bytes) return std::nullopt;
            return std::string{word};
        }
        case kind::names: break;
    }
    const auto list = read_list(text, limits.max_list_items);
    if (!list) return std::nullopt;
    // JSON, because emcc tries that first: `[null]` or `[1]` would not be read as names.
    std::string json = "[";
    for (const auto item : *list) {
        if (!is_identifier(item) || item.size() > limits.max_identifier_bytes) return std::nullopt;
        if (json.size() > 1) json += ',';
        json += '"';
        json += item;
        json += '"';
    }
    json += ']';
    return json;
}

// -Wall, -Wno-unused, -Werror=format, -Wno-error, -Wc++11-compat.
bool is_warning(std::string_view token) noexcept
{
    constexpr std::size_t longest = 80;
    if (!token.starts_with("-W") || token.size() > longest) return false;
    token.remove_prefix(2);
    for (const std::string_view prefix : {"error=", "no-error="})
        if (token.starts_with(prefix)) {
            token.remove_prefix(prefix.size());
            break;
        }
    // A single letter is not a warning's name; it begins -Wl, -Wp and -Wa.
    return token.size() >= 2 && is_lower(token.front()) &&
           std::ranges::all_of(token, [](char c) { return is_lower(c) || is_digit(c) || c == '-' || c == '+'; });
}

// `text` split at blanks outside of quotes.
std::vector<std::string_view> words_of(std::string_view text)
{
    std::vector<std::string_view> words;
    char quote = 0;
    std::size_t begin = 0;
    for (std::size_t i = 0; i <= text.size(); ++i) {
        const char c = i < text.size() ? text[i] : ' ';
        if (quote == 0 && (c == '"' || c == '\'')) {
            quote = c;
        } else if (c == quote) {
            quote = 0;
        } else if (i == text.size() || (c == ' ' && quote == 0)) {
            if (i > begin) words.push_back(text.substr(begin, i - begin));
            begin = i + 1;
        }
    }
    return words;
}

// Whether one token holds several arguments: "-O2 -g".
bool holds_several(std::span<const std::string_view> words) noexcept
{
    return words.size() > 1 && words.front().starts_with('-') &&
           std::ranges::any_of(words.subspan(1), [](std::string_view word) {
               return word.size() > 1 && word.starts_with('-') && !is_digit(word[1]);
           });
}

// Whether a macro's value continues like a command line, with text that is hardly ever C: "1 -DY=2".
bool ends_in_arguments(std::string_view value)
{
    const auto words = words_of(value);
    return words.size() > 1 && std::ranges::any_of(std::span{words}.subspan(1), [](std::string_view word) {
               if (word.starts_with("-D")) return is_identifier(word.substr(2, word.find_first_of("=(") - 2));
               if (word.starts_with("-s")) return word.size() > 2 && is_upper(word[2]);
               const bool level = word.size() == 3 && word.starts_with("-O");
               return level || word.starts_with("-std=") || word.starts_with("-I") || is_warning(word);
           });
}

// One round of without_shell_escapes: a macro's value as a shell would pass it on, without a pair of single quotes
// around a string literal and with \" read as a quote. 'x' is a character constant and stays, as does anything that
// is C as written.
std::string without_one_shells_escapes(std::string_view value)
{
    constexpr std::size_t most_of_a_character = 2;  // and its quotes: '"'
    if (value.size() > most_of_a_character + 1 && value.front() == '\'' && value.back() == '\'') {
        const auto inner = value.substr(1, value.size() - 2);
        if (std::ranges::count(inner, '"') >= 2 && inner.find('\'') == std::string_view::npos) value = inner;
    }
    // "\"1.0\"": a shell passes on "1.0".
    constexpr std::string_view begin = "\"\\\"";
    constexpr std::string_view end = "\\\"\"";
    if (value.size() >= begin.size() + end.size() && value.starts_with(begin) && value.ends_with(end))
        value = value.substr(1, value.size() - 2);
    const auto first = value.find_first_of("\"'");
    if (first == std::string_view::npos || first == 0 || value[first - 1] != '\\') return std::string{value};
    std::string plain;
    for (std::size_t i = 0; i < value.size(); ++i) {
        constexpr std::string_view escaped = "\"'\\";
        const bool pair =
            value[i] == '\\' && i + 1 < value.size() && escaped.find(value[i + 1]) != std::string_view::npos;
        plain += value[pair ? ++i : i];
    }
    return plain;
}

// Repeats until nothing is left to remove, so that the result maps to itself.
std::string without_shell_escapes(std::string_view value)
{
    std::string plain{trimmed(value)};
    for (;;) {
        std::string next{trimmed(without_one_shells_escapes(plain))};
        if (next == plain) return plain;
        plain = std::move(next);
    }
}

// The URL goes verbatim into the module (custom section sourceMappingURL) and never names a file of ours. Schemes
// other than http(s) are refused to protect whoever opens the module in a debugger.
bool is_map_base(std::string_view url, const policy_limits& limits) noexcept
{
    if (url.empty() || url.size() > limits.max_url_bytes) return false;
    constexpr std::string_view punctuation = "/._~%?&=+:-";
    const auto allowed = [&](char c) {
        return is_letter(c) || is_digit(c) || punctuation.find(c) != std::string_view::npos;
    };
    if (!std::ranges::all_of(url, allowed)) return false;
    if (url.starts_with("http://") || url.starts_with("https://")) return true;
    return !url.starts_with('-') && !url.starts_with("//") && url.find(':') == std::string_view::npos;
}

constexpr std::string_view not_allowed = "is not an argument that this server allows";
constexpr std::string_view several_in_one = "holds several arguments; send each as its own entry";

std::string_view why_not(std::string_view token) noexcept
{
    if (token.empty()) return "is empty";
    if (token.starts_with('@')) return "is a response file; the server does not read those";
    if (!token.starts_with('-')) return "is not an option; send source files in \"files\"";
    if (token.starts_with("-o")) return "names the output; the server chooses the name";
    if (token.starts_with("-std=")) return "is not a known standard of this language";
    if (token.starts_with("-i")) return "changes the search path for headers; send headers in \"files\"";
    return not_allowed;
}

class policy {
public:
    policy(std::span<const std::string> tokens, std::span<const std::string> files, language lang,
           const policy_limits& limits)
        : tokens_{tokens}, files_{files}, lang_{lang}, limits_{limits}
    {
    }

    result<effective_arguments> apply()
    {
        if (tokens_.size() > limits_.max_tokens) return too_many_arguments(limits_.max_tokens);
        std::size_t total = 0;
        for (const auto& token : tokens_) {
            total += token.size();
            if (token.size() > limits_.max_token_bytes)
                return refuse(token, "is longer than " + std::to_string(limits_.max_token_bytes) + " bytes",
                              "shorten it");
        }
        if (total > limits_.max_total_bytes)
            return invalid("args has more than " + std::to_string(limits_.max_total_bytes) +
                           " bytes together: leave some out");

        while (at_ < tokens_.size() && !refusal_) {
            began_at_ = at_;
            read(tokens_[at_++]);
        }
        if (refusal_) return std::move(*refusal_);

        effective_arguments done;
        for (auto& line : lines_)
            if (!line.empty()) done.argv.push_back(std::move(line));
        done.ignored = std::move(ignored_);
        return done;
    }

private:
    static error invalid(std::string message) { return {errc::invalid_request, std::move(message)}; }

    static error refuse(std::string_view token, std::string_view what, std::string_view cure)
    {
        return invalid("args: \"" + quoted_for_people(token) + "\" " + std::string{what} + ": " + std::string{cure});
    }

    void refuse_later(std::string_view token, std::string_view what, std::string_view cure)
    {
        refusal_ = refuse(token, what, cure);
    }

    // `lost`: what dropping the argument changes; by default its row of `losses`.
    void ignore(std::string_view token, std::string_view reason) { ignore(token, reason, loss_of(losses, token)); }

    void ignore(std::string_view token, std::string_view reason, const loss& lost)
    {
        const auto* lost_most = &lost;
        const auto words = words_of(token);
        // Not if an option and its value came as two tokens: the second is a value.
        const bool several = at_ == began_at_ + 1 && holds_several(words);
        if (several) {
            reason = several_in_one;
            for (const auto word : words) {
                const auto& one = word.starts_with("-s") ? unknown_setting() : loss_of(losses, word);
                if (!lost_most->changes_program && word.starts_with('-')) lost_most = &one;
            }
        }
        ignored_.push_back({.token = quoted_for_people(token),
                            .reason = std::string{reason},
                            .effect = std::string{lost_most->effect},
                            .changes_program = lost_most->changes_program,
                            .index = began_at_});
    }

    // Adds `line` and removes an earlier line of the same slot.
    void put(std::string slot, std::string line)
    {
        const auto [known, is_new] = slots_.try_emplace(std::move(slot), lines_.size());
        if (!is_new) {
            lines_[known->second].clear();
            known->second = lines_.size();
        }
        lines_.push_back(std::move(line));
    }

    // The value of a two-token option, if the next token can be one.
    std::optional<std::string_view> take_value()
    {
        if (at_ == tokens_.size() || tokens_[at_].empty() || whole_argument(tokens_[at_]).front() == '-')
            return std::nullopt;
        return tokens_[at_++];
    }

    void read(std::string_view token)
    {
        // A NUL would end the argument early; a line break would start another one in a response file.
        if (std::ranges::any_of(token, is_control)) return ignore(token, "has a control character");
        if (!is_valid_utf8(token)) return ignore(token, "is not UTF-8");
        token = whole_argument(token);

        for (const auto& known : flags)
            if (token == known.token) return put_flag(known);
        if (token == "-Ofast") return put_fast();
        if (token == "-s") return read_split_setting();
        if (token.starts_with("-s") && is_assignment(token.substr(2))) return read_setting(token, token.substr(2));
        if (token == "-D") return read_split_define();
        if (token.starts_with("-D")) return define(token, token.substr(2));
        if (token.starts_with("-U")) return undefine(token);
        if (token.starts_with("-include") && !token.starts_with("-include-")) return include(token);
        if (token == "-l") return read_split_library();
        if (token.starts_with("-l ") && trimmed(token.substr(2)) == "embind") return put("-lembind", "-lembind");
        for (const std::string_view option : {"-I", "-iquote", "-isystem"})
            if (token.starts_with(option)) return search(token, option);
        if (is_warning(token)) return put(std::string{token}, std::string{token});
        if (token.starts_with("-std=")) return read_standard(token);
        for (const std::string_view option : {"--embed-file", "--preload-file", "--source-map-base"})
            if (token == option ||
                (token.starts_with(option) && (token[option.size()] == '=' || token[option.size()] == ' ')))
                return read_valued(token, option);
        ignore_with_value(token);
    }

    void put_flag(const flag& known)
    {
        // As clang does: of several levels the last one counts, with what it stands for.
        if (known.group == "-O" && std::exchange(fast_by_level_, false)) take_back(fast_math);
        if (known.group == fast_math) fast_by_level_ = false;
        put(std::string{known.group}, std::string{known.canonical});
    }

    // -Ofast is -O3 and -ffast-math (clang's Options.td and Clang.cpp); emcc itself does not know it.
    void put_fast()
    {
        put("-O", "-O3");
        const auto math = slots_.find(fast_math);
        if (math != slots_.end() && lines_[math->second] == fast_math) return;
        put(std::string{fast_math}, std::string{fast_math});
        fast_by_level_ = true;
    }

    void take_back(std::string_view slot)
    {
        const auto known = slots_.find(slot);
        if (known == slots_.end()) return;
        lines_[known->second].clear();
        slots_.erase(known);
    }

    // KEY=VALUE or KEY after -s, possibly after a blank ("-s KEY=1" as one token) or in quotes that a shell would
    // have removed.
    static bool is_assignment(std::string_view text) noexcept
    {
        text = unquoted(trimmed(text));
        return !text.empty() && is_upper(text.front());
    }

    void read_split_setting()
    {
        const auto value = take_value();
        if (!value) return ignore("-s", "needs KEY=VALUE after it", unknown_setting());
        const std::string token = "-s " + std::string{*value};
        if (std::ranges::any_of(*value, is_control)) return ignore(token, "has a control character", unknown_setting());
        if (!is_valid_utf8(*value)) return ignore(token, "is not UTF-8", unknown_setting());
        read_setting(token, *value);
    }

    // Drops an argument that is not allowed, together with its value.
    void ignore_with_value(std::string_view token)
    {
        const auto& lost = loss_of(losses, token);
        const auto why = why_not(token);
        const auto value = lost.takes_value && token == lost.begin ? take_value() : std::nullopt;
        if (!value) return ignore(token, why, lost);
        ignore(std::string{token} + ' ' + std::string{*value}, why, lost);
    }

    static const loss& unknown_setting() { return loss_of(setting_losses, {}); }

    void read_split_library()
    {
        const auto value = take_value();
        if (value && *value == "embind") return put("-lembind", "-lembind");
        if (!value) return ignore("-l", "needs a library after it");
        const auto token = "-l" + std::string{*value};
        ignore("-l " + std::string{*value}, not_allowed, loss_of(losses, token));
    }

    void read_setting(std::string_view token, std::string_view text)
    {
        if (text.find('@') != std::string_view::npos)
            return refuse_later(token, "has an '@', which makes emcc read a file",
                                "write the value itself, for example -sEXPORTED_FUNCTIONS=_main,_add");
        // [\"_main\"], as written for some shells. No allowed value holds a backslash.
        std::string plain;
        std::size_t escaped = 0;
        for (std::size_t i = 0; i + 1 < text.size(); ++i)
            escaped += text[i] == '\\' && (text[i + 1] == '"' || text[i + 1] == '\'') ? 1 : 0;
        if (escaped > 0 && escaped % 2 == 0) {
            std::ranges::remove_copy(text, std::back_inserter(plain), '\\');
            text = plain;
        }
        text = unquoted(trimmed(text));
        const auto equals = text.find('=');
        std::string_view key = text.substr(0, equals);
        std::string_view value = equals == std::string_view::npos ? "1" : text.substr(equals + 1);

        const auto* old = find_alias(key);
        const setting* known = find_setting(key);
        // emcc reads NO_KEY=1 as KEY=0 and NO_KEY=0 as KEY=1.
        constexpr std::string_view no = "NO_";
        if (known == nullptr && key.starts_with(no) && (value == "0" || value == "1")) {
            key.remove_prefix(no.size());
            known = find_setting(key);
            value = value == "0" ? "1" : "0";
        }
        if (known == nullptr && is_obsolete(key, value))
            return ignore(token, "is a setting that emcc no longer has",
                          {"", "nothing: emcc always does this now", false});
        if (known == nullptr)
            return ignore(token, "is not a setting that this server allows", loss_of(setting_losses, text));
        if (old != nullptr && old->how == reading::truth && read_number(value).value_or(0) > 0) value = "1";
        if (old != nullptr && old->how == reading::one_is_two && (value == "0" || value == "1"))
            value = value == "1" ? "2" : "1";
        auto canonical = canonical_value(known->value, value, limits_);
        if (!canonical) return ignore(token, "must be " + accepts(known->value), loss_of(setting_losses, text));
        // emcc has two settings; the second one adds to the first.
        if (known->key == "EXPORTED_RUNTIME_METHODS") {
            (old != nullptr && old->how == reading::added ? added_methods_ : methods_) = *canonical;
            canonical = joined(methods_, added_methods_);
        }

        std::string line = "-s";
        line += spelled_for(known->key, limits_.version);
        line += '=';
        line += *canonical;
        put("-s" + std::string{known->key}, std::move(line));
    }

    // Joins two lists in canonical spelling; an empty string stands for no list.
    static std::string joined(const std::string& first, const std::string& second)
    {
        constexpr std::string_view nothing = "[]";
        if (second.empty() || second == nothing) return first.empty() ? second : first;
        if (first.empty() || first == nothing) return second;
        return first.substr(0, first.size() - 1) + ',' + second.substr(1);
    }

    void read_split_define()
    {
        const auto value = take_value();
        if (!value) return ignore("-D", "needs a macro's name after it");
        const std::string token = "-D " + std::string{*value};
        if (std::ranges::any_of(*value, is_control)) return ignore(token, "has a control character");
        if (!is_valid_utf8(*value)) return ignore(token, "is not UTF-8");
        define(token, *value);
    }

    // -UNAME and -U NAME. Of what is said about one macro the last counts.
    void undefine(std::string_view token)
    {
        std::string shown{token};
        std::optional<std::string_view> macro = trimmed(token.substr(2));
        if (macro->empty()) {
            macro = take_value();
            if (macro) shown += ' ' + std::string{*macro};
        }
        if (!macro) return ignore("-U", "needs a macro's name after it");
        if (!is_identifier(*macro) || macro->size() > limits_.max_identifier_bytes)
            return ignore(shown, "does not name a macro");
        put("-D" + std::string{*macro}, "-U" + std::string{*macro});
    }

    // -include FILE: one that came with the request. What clang reads in its place (FILE.pch, FILE.gch: headers that
    // somebody else compiled) must not be there.
    void include(std::string_view token)
    {
        std::string shown{token};
        std::optional<std::string_view> value = trimmed(token.substr(std::string_view{"-include"}.size()));
        if (value->empty()) {
            value = take_value();
            if (value) shown += ' ' + std::string{*value};
        }
        if (!value) return ignore("-include", "needs a file after it");
        if (std::ranges::any_of(*value, is_control)) return ignore(shown, "has a control character");
        if (!is_valid_utf8(*value)) return ignore(shown, "is not UTF-8");
        const auto came = [&](std::string_view path) { return std::ranges::find(files_, path) != files_.end(); };
        const auto clean = [](std::string_view path) {
            while (path.starts_with("./")) path.remove_prefix(2);
            return path;
        };
        auto path = clean(*value);
        if (!came(path)) path = clean(without_shell_quotes(*value));
        if (path.empty() || path.starts_with('-') || path_shape_defect(path) || !(limits_.any_files || came(path)))
            return ignore(shown, "does not name a file of the request, and no other is read");
        // clang reads such a file, or any in a directory of this name.
        const auto stands_beside = [&](std::string_view ending) {
            const auto compiled = std::string{path}.append(ending);
            return std::ranges::any_of(
                files_, [&](std::string_view file) { return file == compiled || file.starts_with(compiled + "/"); });
        };
        if (stands_beside(".pch") || stands_beside(".gch"))
            return ignore(shown, "names a file with a precompiled header beside it, which would be read instead");
        auto line = "-include" + std::string{path};
        if (!slots_.contains(line)) put(line, line);
    }

    // NAME, NAME=value, or NAME(a, b)=value, possibly in quotes that a shell would have removed.
    void define(std::string_view token, std::string_view text)
    {
        text = trimmed(text);
        if (ends_in_arguments(text)) return ignore(token, not_allowed);
        text = trimmed(unquoted(text));
        const auto end = text.find_first_of("=(");
        const std::string_view macro = text.substr(0, end);
        if (!is_identifier(macro) || macro.size() > limits_.max_identifier_bytes)
            return ignore(token, "does not name a macro");
        std::string_view rest = end == std::string_view::npos ? std::string_view{} : text.substr(end);
        if (rest.size() > limits_.max_define_bytes + 1)
            return ignore(token, "has a value of more than " + std::to_string(limits_.max_define_bytes) + " bytes");
        // Harmless to clang, but refused so that '@' has one meaning in the whole command line.
        if (rest.find('@') != std::string_view::npos) return ignore(token, "has an '@' in its value");
        if (rest.starts_with('(')) {
            const auto close = rest.find(')');
            if (close == std::string_view::npos || !are_parameters(rest.substr(1, close - 1)))
                return ignore(token, "has parameters that are not names; write -DMAX(a,b)=((a)>(b)?(a):(b))");
            rest.remove_prefix(close + 1);
            if (!rest.empty() && !rest.starts_with('=')) return ignore(token, "has something other than '=' after ')'");
        }
        std::string line = "-D";
        line += text.substr(0, text.size() - rest.size());
        if (rest.starts_with('=')) line += '=' + without_shell_escapes(rest.substr(1));
        if (ends_in_arguments(line)) return ignore(token, not_allowed);
        put("-D" + std::string{macro}, std::move(line));
    }

    // The text between the parentheses of a macro (C17, 6.10.3): names, and at the end possibly `...` or, for GNU,
    // `name...`.
    static bool are_parameters(std::string_view text)
    {
        text = trimmed(text);
        if (text.empty()) return true;
        for (;;) {
            const auto comma = text.find(',');
            auto one = trimmed(text.substr(0, comma));
            if (comma == std::string_view::npos && one.ends_with("...")) {
                one = trimmed(one.substr(0, one.size() - 3));
                return one.empty() || is_identifier(one);
            }
            if (!is_identifier(one)) return false;
            if (comma == std::string_view::npos) return true;
            text.remove_prefix(comma + 1);
        }
    }

    // -I and its siblings: a folder of the request, or the root of its files.
    void search(std::string_view token, std::string_view option)
    {
        std::string shown{token};
        std::optional<std::string_view> value = trimmed(token.substr(option.size()));
        if (value->empty()) {
            value = take_value();
            if (value) shown += ' ' + std::string{*value};
        }
        if (!value) return ignore(shown, "needs a folder after it");
        if (std::ranges::any_of(*value, is_control)) return ignore(shown, "has a control character");
        if (!is_valid_utf8(*value)) return ignore(shown, "is not UTF-8");
        const auto clean = [](std::string_view folder) {
            while (folder.starts_with("./")) folder.remove_prefix(2);
            while (folder.ends_with('/') && folder.size() > 1) folder.remove_suffix(1);
            return folder.empty() ? std::string_view{"."} : folder;
        };
        const auto has_files = [&](std::string_view folder) {
            return std::ranges::any_of(files_, [&](std::string_view file) {
                return file.starts_with(folder) && file.substr(folder.size()).starts_with('/');
            });
        };
        auto folder = clean(*value);
        if (!has_files(folder)) folder = clean(without_shell_quotes(*value));
        if (folder != "." && (path_shape_defect(folder) || !(limits_.any_files || has_files(folder))))
            return ignore(shown, "does not name a folder of the request's files; no other folder is searched");
        auto line = std::string{option} + std::string{folder};
        if (!slots_.contains(line)) put(line, line);  // the first place counts
    }

    void read_standard(std::string_view token)
    {
        const std::string_view given = token.substr(std::string_view{"-std="}.size());
        for (const auto& known : standards)
            if (given == known.given && (lang_ == known.lang || lang_ == language::mixed))
                return put("-std of " + std::string{name(known.lang)}, "-std=" + std::string{known.canonical});
        ignore(token, why_not(token));
    }

    void read_valued(std::string_view token, std::string_view option)
    {
        std::string shown{token};
        std::optional<std::string_view> value;
        if (token.size() > option.size()) {
            value = trimmed(token.substr(option.size() + 1));
        } else {
            value = take_value();
            if (value) shown += ' ' + std::string{*value};
        }
        if (!value || value->empty()) return ignore(shown, "needs a value");
        if (std::ranges::any_of(*value, is_control)) return ignore(shown, "has a control character");
        if (!is_valid_utf8(*value)) return ignore(shown, "is not UTF-8");
        if (option != "--source-map-base") {
            // A name in quotes that a shell would have removed, unless a file really has that name.
            const bool as_it_is = std::ranges::find(files_, *value) != files_.end();
            return pack(shown, option, as_it_is ? *value : without_shell_quotes(*value));
        }
        if (!is_map_base(*value, limits_)) return ignore(shown, "must be an http(s) or a relative URL");
        put(std::string{option}, std::string{option} + '=' + std::string{*value});
    }

    // "/assets" and "./assets" are "assets", "/" is ".".
    static std::string_view below_root(std::string_view place) noexcept
    {
        constexpr std::string_view root = ".";
        if (place.empty()) return place;
        while (place.starts_with('/') || place.starts_with("./")) place.remove_prefix(place.front() == '/' ? 1 : 2);
        return place.empty() ? root : place;
    }

    // --embed-file and --preload-file: FILE, DIRECTORY, FILE@PLACE or DIRECTORY@PLACE. A directory is expanded to its
    // files, so that only the request's own files can be meant. Each gets its place written out, because emcc's file
    // packager checks them all as it checks the last one.
    void pack(std::string_view token, std::string_view option, std::string_view value)
    {
        constexpr std::string_view cure =
            "name a file of this request, such as data/level.txt or data/level.txt@levels/1.txt";
        const auto at_sign = value.find('@');
        std::string_view source = value.substr(0, at_sign);
        while (source.starts_with("./")) source.remove_prefix(2);
        // A place in the program's own file system. The program starts in its root.
        std::string_view place = at_sign == std::string_view::npos ? source : value.substr(at_sign + 1);
        if (at_sign != std::string_view::npos) place = below_root(place);
        if (place.find('@') != std::string_view::npos) return refuse_later(token, "has more than one '@'", cure);
        const bool only_a_directory = source.ends_with('/') && source.size() > 1;
        if (only_a_directory) source.remove_suffix(1);
        const bool into_directory = place.ends_with('/') && place.size() > 1;
        if (into_directory) place.remove_suffix(1);

        if (const auto defect = path_shape_defect(source)) return refuse_later(token, *defect, cure);
        const bool at_root = at_sign != std::string_view::npos && place == ".";
        if (const auto defect = path_shape_defect(place); defect && !at_root)
            return refuse_later(token, "has a place in the program's file system that " + *defect, cure);

        const auto add = [&](std::string_view file, std::string_view below) {
            const bool ascii =
                std::ranges::all_of(std::string{at_root ? std::string_view{} : place} + std::string{below},
                                    [](char c) { return static_cast<unsigned char>(c) < 0x80; });
            // emcc's packager writes the name into assembly text, which garbles such letters.
            if (option == "--embed-file" && !ascii)
                return refuse_later(token, "has a place with non-ASCII letters, which emcc cannot embed",
                                    "use --preload-file, or choose an ASCII place, such as größe.txt@size.txt");
            if (++packed_ > limits_.max_packed_files)
                return refuse_later(token, "packs too many files",
                                    "pack at most " + std::to_string(limits_.max_packed_files) + " in all");
            std::string line{option};
            line += '=';
            line += file;
            line += '@';
            if (!at_root) line += place;
            if (!at_root && !below.empty()) line += '/';
            line += below;
            put(line, line);
        };
        if (limits_.any_files || (!only_a_directory && std::ranges::find(files_, source) != files_.end())) {
            const bool keeps_name = (at_root || into_directory) && at_sign != std::string_view::npos;
            return add(source, keeps_name ? source.substr(source.rfind('/') + 1) : std::string_view{});
        }
        bool any = false;
        for (const std::string_view file : files_) {
            if (refusal_) return;
            if (!file.starts_with(source) || !file.substr(source.size()).starts_with('/')) continue;
            any = true;
            add(file, file.substr(source.size() + 1));
        }
        if (any) return;
        if (holds_several(words_of(token))) return refuse_later(token, several_in_one, cure);
        refuse_later(token, "names a file that is not part of this request", cure);
    }

    std::span<const std::string> tokens_;
    std::span<const std::string> files_;
    language lang_;
    const policy_limits& limits_;

    std::size_t at_{0};
    std::size_t began_at_{0};  // the first token of what is being read
    std::size_t packed_{0};
    std::string methods_;                                    // EXPORTED_RUNTIME_METHODS, in canonical spelling
    std::string added_methods_;                              // EXTRA_EXPORTED_RUNTIME_METHODS
    std::map<std::string, std::size_t, std::less<>> slots_;  // slot → index into lines_
    bool fast_by_level_{false};                              // -ffast-math is there for -Ofast alone
    std::vector<std::string> lines_;                         // an empty line was removed again
    std::vector<ignored_argument> ignored_;
    std::optional<error> refusal_;
};

std::string example(const setting& row, const emcc_version& version)
{
    std::string text = "-s";
    text += spelled_for(row.key, version);
    text += '=';
    switch (row.value.type) {
        case kind::boolean: return text + '1';
        case kind::integer: return text + std::to_string(row.value.high);
        case kind::bytes: {
            // A stack must fit into a program's default memory, 16 MiB.
            const std::int64_t usual = row.value.step == wasm_page ? 16 * mib : mib;
            return text + std::to_string(usual);
        }
        case kind::choice: return text + std::string{row.value.choices.substr(0, row.value.choices.find(' '))};
        case kind::environment: return text + "web,worker";
        case kind::name: return text + "create_app";
        case kind::names: break;
    }
    return text + (row.key == "EXPORTED_RUNTIME_METHODS" ? "[\"ccall\",\"cwrap\"]"
                   : row.key == "INCOMING_MODULE_JS_API" ? "[\"print\",\"printErr\"]"
                                                         : "[\"_main\"]");
}

}  // namespace

result<effective_arguments> apply_policy(std::span<const std::string> tokens, std::span<const std::string> files,
                                         language lang, const policy_limits& limits)
{
    return policy{tokens, files, lang, limits}.apply();
}

error too_many_arguments(std::size_t most)
{
    return invalid_request("args has more than " + std::to_string(most) +
                           " entries together with the server's own: leave some out");
}

std::optional<error> strict_refusal(std::span<const ignored_argument> ignored, std::size_t first)
{
    constexpr std::size_t most_named = 20;
    std::string named;
    std::size_t count = 0;
    for (const auto& one : ignored) {
        if (one.index < first || !one.changes_program || ++count > most_named) continue;
        named += (named.empty() ? "\"" : "; \"") + one.token + "\" " + one.reason + " (" + one.effect + ")";
    }
    if (count == 0) return std::nullopt;
    if (count > most_named) named += "; and " + std::to_string(count - most_named) + " more";
    return error{errc::invalid_request,
                 "args: " + named + ": leave " + (count == 1 ? "it" : "them") + " out, or strict"};
}

std::vector<policy_row> policy_rows(const emcc_version& version)
{
    std::vector<policy_row> rows;
    for (const auto& row : flags)
        if (row.token == row.canonical) rows.push_back({std::string{row.token}, "nothing", std::string{row.why}});
    for (const auto& row : standards)
        if (row.given == row.canonical)
            rows.push_back({"-std=" + std::string{row.canonical}, "a known standard of the language",
                            row.lang == language::c ? "C" : "C++"});
    for (const auto& row : known_settings)
        rows.push_back({example(row, version), accepts(row.value), std::string{row.why}});
    rows.push_back({"-DNAME=value", "a C identifier; no '@', no control character", "a macro"});
    rows.push_back(
        {"-DMAX(a,b)=((a)>(b)?(a):(b))", "C identifiers; no '@', no control character", "a macro with parameters"});
    rows.push_back({"-UNAME", "a C identifier", "no such macro"});
    rows.push_back({"-I.", "'.' or a folder of the request's files; -iquote and -isystem, too", "where headers are"});
    rows.push_back({"-Wall", "-W[no-][error=]<name> in lower case, no comma", "warnings"});
    rows.push_back({"--source-map-base=https://example.org/", "an http(s) or relative URL", "a prefix"});
    return rows;
}

}  // namespace sandboxd::compile
