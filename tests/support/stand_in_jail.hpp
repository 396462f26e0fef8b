// The base of jails that are none, for tests: what `run` does is the test's.
#pragma once

#include "jail/jail.hpp"

#include <optional>
#include <string>
#include <vector>

namespace sandboxd::test {

class stand_in_jail : public jail::jail {
public:
    sandboxd::jail::kind which() const noexcept override { return sandboxd::jail::kind::bubblewrap; }
    std::vector<std::string> walls() const override { return {}; }
    std::vector<std::string> warnings() const override { return {}; }
    std::optional<process::identity> owner() const noexcept override { return std::nullopt; }
};

}  // namespace sandboxd::test
