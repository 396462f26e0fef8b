// Counts one more as long as it lives, however its scope is left.
#pragma once

#include <cstddef>

namespace sandboxd {

class counted {
public:
    explicit counted(std::size_t& count) : count_{count} { ++count_; }
    ~counted() { --count_; }
    counted(const counted&) = delete;
    counted& operator=(const counted&) = delete;

private:
    std::size_t& count_;
};

}  // namespace sandboxd
