// The directory of one container for an OCI runtime, and its removal:
//
//     <containers>/<name>/config.json   what to run
//     <containers>/<name>/rootfs        empty except for mount points
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

// The prefix of containers' names. The rest is random, so that two servers never use the same name, even if each is
// process 1 of a container.
inline constexpr std::string_view container_prefix = "sandboxd-";

class bundle {
public:
    // Makes the directories, owned by `owner` if given. Error: `io`; nothing is left then.
    static result<bundle> make(const std::string& containers, const std::string& name,
                               const std::optional<process::identity>& owner);

    // Takes over an existing bundle.
    static bundle adopt(const std::string& containers, const std::string& name)
    {
        return {containers + "/" + name, name};
    }

    bundle(bundle&& other) noexcept
        : path_{std::exchange(other.path_, {})}, name_{std::move(other.name_)}, owner_{other.owner_}
    {
    }
    bundle& operator=(bundle&&) = delete;
    // Removes it and everything that the runtime left in it, but nothing that is mounted there.
    ~bundle();

    const std::string& path() const noexcept { return path_; }
    const std::string& name() const noexcept { return name_; }

    // Makes folders of the container, "/tmp/a" before "/tmp/a/b", owned by `owner` if given. Error: `io`.
    result<void> make_folders(const std::vector<std::string>& folders,
                              const std::optional<process::identity>& owner) const;
    // Error: `io`.
    result<void> write_config(std::string_view text) const;
    // Writes a file into the root directory and makes its parent directories. `path` is absolute, as seen inside.
    // Error: `io`.
    result<void> put(std::string_view path, std::string_view text) const;
    // Copies a program there, mode 0555. Error: `io`.
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

// The names of the existing bundles of this program's servers; other names belong to somebody else.
std::vector<std::string> bundles_in(const std::string& containers);

// Kills every process of the container of this name: those that have its root file system or were started for it.
void kill_container(std::string_view name);

}  // namespace sandboxd::jail
