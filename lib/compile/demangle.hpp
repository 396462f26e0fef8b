// Names of C++ as people write them, out of the names that a linker prints (Itanium C++ ABI, 5.1).
//
// The names come from a stranger's program, and a mangled name of a few hundred bytes can stand for 2^40 of them:
// each reference to an earlier part may double what went before, and the C++ library's own demangler follows them
// all, also where nothing is printed. Here every part is a text of bounded length and the sum of what is copied is
// bounded, too; a name that needs more, or uses what is not known here (expressions in template arguments,
// decltype, vendors' extensions), stays as it is.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::compile {

struct demangle_limits {
    std::size_t max_mangled_bytes{2048};
    std::size_t max_bytes{1024};              // of the name and of each of its parts
    std::size_t max_copied_bytes{64 * 1024};  // by all steps together
    unsigned max_depth{64};
};

// "_Z3addii" → "add(int, int)". libc++'s inline namespace is left out (`std::vector`, not `std::__2::vector`), and
// std::string and std::ostream go by these names. Nothing when `mangled` is no such name as a whole.
std::optional<std::string> demangle(std::string_view mangled, const demangle_limits& limits = {});

// `text` with every mangled name in it (`_Z…`, as a word) written out, as far as demangle() can; `max_names` of them.
std::string with_demangled_names(std::string_view text, std::size_t max_names = 16, const demangle_limits& limits = {});

}  // namespace sandboxd::compile
