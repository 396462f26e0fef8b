// What a fuzzer reports: a crash, with the input that led to it.
#pragma once

#include <cstdlib>

inline void require(bool holds)
{
    if (!holds) std::abort();
}
