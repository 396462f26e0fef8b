// The directory that an OCI runtime is given for one container, and its end:
//
//     <containers>/<name>/config.json   what to run
//     <containers>/<name>/rootfs        empty but for the points that things are mounted on
//     <containers>/<name>/state         the runtime's own
#pragma once

#include "base/errc.hpp"
#include "process/command.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd::jail {

// With this begin the names of containers; what follows is random, so that no two servers have the same, also where
// both are process 1 of a container of their own.
inline constexpr std::string_view container_prefix = "sandboxd-";

class bundle {
public:
    // Makes the directories, for `owner` where there is one. Error: `io`; then nothing is left.
    static result<bundle> make(const std::string& containers, const std::string& name,
                               const std::optional<process::identity>& owner);

    // One that is there already.
    static bundle adopt(const std::string& containers, const std::string& name)
    {
        return {containers + "/" + name, name};
    }

    bundle(bundle&& other) noexcept
        : path_{std::exchange(other.path_, {})}, name_{std::move(other.name_)}, owner_{other.owner_}
    {
    }
    bundle& operator=(bundle&&) = delete;
    // Removes it with what the runtime left in it; never what is mounted there.
    ~bundle();

    const std::string& path() const noexcept { return path_; }
    const std::string& name() const noexcept { return name_; }

    // Folders of the container's, "/tmp/a" before "/tmp/a/b", for `owner` where there is one. Error: `io`.
    result<void> make_folders(const std::vector<std::string>& folders,
                              const std::optional<process::identity>& owner) const;
    // Error: `io`.
    result<void> write_config(std::string_view text) const;
    // A file of its own in the root directory, made with the directories above it. `path` is absolute, as seen inside.
    // Error: `io`.
    result<void> put(std::string_view path, std::string_view text) const;
    // A copy of a program there, mode 0555. Error: `io`.
    result<void> put_program(std::string_view path, const std::string& source) const;
    // Where such a file is outside.
    std::string outside(std::string_view path) const { return path_ + "/rootfs" + std::string{path}; }
    // Whether the runtime still knows the container.
    bool has_state() const;

private:
    bundle(std::string path, std::string name) : path_{std::move(path)}, name_{std::move(name)} {}

    result<std::string> in_root(std::string_view path) const;

    std::string path_;  // empty: moved from
    std::string name_;
    std::optional<process::identity> owner_;
};

// Makes the directory of all bundles when it is missing. Error: `io`.
result<void> make_containers_directory(const std::string& path);

// The names of the bundles that are there.
std::vector<std::string> bundles_in(const std::string& containers);

// Kills what runs in a container of this name: every process that has its root file system or was started for it.
void kill_container(std::string_view name);

}  // namespace sandboxd::jail
