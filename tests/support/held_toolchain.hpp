// The real emcc behind a door: while it is held, a compile stands still in its jail at the very beginning, for
// as long as the test wants. So a test can look at a running job, and end it, without a race.
#pragma once

#include "compile/emcc.hpp"
#include "support/temporary_directory.hpp"

#include <filesystem>
#include <fstream>
#include <string>

namespace sandboxd::test {

class held_toolchain {
public:
    held_toolchain()
    {
        namespace fs = std::filesystem;
        for (const std::string name : {"emcc", "em++"}) {
            const auto file = bin() / name;
            fs::create_directories(bin());
            // `--version` passes, so the toolchain can be found meanwhile.
            std::ofstream{file} << "#!/bin/sh\n"
                                   "[ \"$1\" = --version ] || while [ -e '"
                                << door().native()
                                << "' ]; do sleep 0.05; done\n"
                                   "exec /usr/bin/"
                                << name << " \"$@\"\n";
            fs::permissions(file, static_cast<fs::perms>(0755));
        }
        fs::permissions(bin(), static_cast<fs::perms>(0755));
    }

    std::filesystem::path emcc() const { return bin() / "emcc"; }

    // The member of the configuration.
    std::string config() const
    {
        std::string mounts = "\"" + bin().native() + "\"";
        for (const auto& one : compile::default_mounts()) mounts += ", \"" + one + "\"";
        return "\"toolchain\": {\"emcc\": \"" + emcc().native() + "\", \"mounts\": [" + mounts + "]}";
    }

    // Takes the whole toolchain away, and puts it back.
    void remove() const { std::filesystem::rename(bin(), own_ / "away"); }
    void restore() const { std::filesystem::rename(own_ / "away", bin()); }

    void hold() const { std::ofstream{door()} << ""; }
    void release() const { std::filesystem::remove(door()); }

private:
    std::filesystem::path bin() const { return own_ / "bin"; }
    std::filesystem::path door() const { return bin() / "hold"; }

    temporary_directory own_;
};

}  // namespace sandboxd::test
