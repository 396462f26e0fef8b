// What is true as long as something lives, however its scope is left.
#pragma once

#include <cstddef>

namespace sandboxd {

// Counts one more.
class counted {
public:
    explicit counted(std::size_t& count) : count_{count} { ++count_; }
    ~counted() { --count_; }
    counted(const counted&) = delete;
    counted& operator=(const counted&) = delete;

private:
    std::size_t& count_;
};

// Sets a flag.
class flagged {
public:
    explicit flagged(bool& flag) : flag_{flag} { flag_ = true; }
    ~flagged() { flag_ = false; }
    flagged(const flagged&) = delete;
    flagged& operator=(const flagged&) = delete;

private:
    bool& flag_;
};

}  // namespace sandboxd
