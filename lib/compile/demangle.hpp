// Demangles the C++ names that a linker prints (Itanium C++ ABI, 5.1).
//
// The names come from an untrusted program, and a mangled name of a few hundred bytes can expand to 2^40: each
// reference to an earlier part may double the text, and the C++ library's demangler follows them all, even where
// nothing is printed. Here the length of every part and the sum of all copies are bounded. A name that exceeds them,
// or uses an unsupported feature (expressions in template arguments, decltype, vendors' extensions), stays mangled.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::compile {

// A name that passes them is shown mangled.
struct demangle_limits {
    std::size_t max_mangled_bytes{2048};
    std::size_t max_bytes{1024};              // of the name and of each of its parts
    std::size_t max_copied_bytes{64 * 1024};  // by all steps together
    unsigned max_depth{64};
};

// "_Z3addii" → "add(int, int)". libc++'s inline namespace is left out (`std::vector`, not `std::__2::vector`), and
// std::string and std::ostream keep these names. Nullopt unless all of `mangled` is a mangled name.
std::optional<std::string> demangle(std::string_view mangled, const demangle_limits& limits = {});

// `text` with each mangled name in it (`_Z…`, as a word) demangled if demangle() can; at most `max_names` of them.
std::string with_demangled_names(std::string_view text, std::size_t max_names = 16, const demangle_limits& limits = {});

}  // namespace sandboxd::compile
