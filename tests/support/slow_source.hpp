// C++ that keeps clang busy, with little memory and without a word, for much longer than any test waits.
#pragma once

#include <string>

namespace sandboxd::test {

// `salt` makes sources, and so jobs, different.
inline std::string slow_source(int salt = 0)
{
    // One evaluation stays below clang's limit of a million steps; there are a hundred thousand of them.
    return "constexpr long spin(long n) { long s = " + std::to_string(salt) +
           "; for (long i = 0; i < n; ++i) s ^= i; return s; }\n"
           "#define ONE static_assert(spin(200000) != -1);\n"
           "#define TEN(x) x x x x x x x x x x\n"
           "#define MANY TEN(TEN(TEN(TEN(TEN(ONE)))))\n"
           "MANY\n"
           "int main() {}\n";
}

}  // namespace sandboxd::test
