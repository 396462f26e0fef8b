// Where the server of a load test works: a directory; where this process may mount, a small tmpfs
// in a mount namespace of its own, which ends with the process. The artifacts are a mount within,
// so that they alone can become read-only.
#pragma once

#include "support/temporary_directory.hpp"

#include <cstdint>
#include <filesystem>
#include <string>

namespace sandboxd::test {

class ground {
public:
    // Call before there are threads: they would stay in the host's mount namespace.
    explicit ground(std::uint64_t bytes);
    ~ground();
    ground(const ground&) = delete;
    ground& operator=(const ground&) = delete;

    const std::filesystem::path& path() const noexcept { return work_; }
    // Why nothing can be mounted here. Empty: it is.
    const std::string& why_not() const noexcept { return why_not_; }

    // Takes the room away, to the last byte; again and again, for what is freed meanwhile. False:
    // not yet.
    bool fill();
    void free();
    // False while somebody writes there.
    bool make_read_only();
    void make_writable();

private:
    bool resize(std::uint64_t bytes);

    temporary_directory own_;
    std::filesystem::path work_;
    std::uint64_t bytes_;
    bool shrunk_{false};
    std::string why_not_;
};

}  // namespace sandboxd::test
