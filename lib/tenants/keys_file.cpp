#include "tenants/keys_file.hpp"

#include "base/digest.hpp"
#include "base/json_reader.hpp"
#include "base/unique_fd.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace sandboxd::tenants {

namespace fs = std::filesystem;

namespace {

// An item of `keys`.
struct filed_key {
    written_key key{};
    std::string sha256{};
};

result<key_entry> checked(const filed_key& filed, const std::string& place)
{
    auto made = check_key(filed.key, place + ".");
    if (!made) return made;
    const auto digest = read_digest(filed.sha256);
    if (!digest)
        return invalid_request(
            place +
            ".sha256 must be the 64 lower-case hexadecimal digits that `printf %s \"$KEY\" | sha256sum` prints");
    if (*digest == sha256_of({}))
        return invalid_request(place + ".sha256 is that of an empty key; make a key, such as `openssl rand -hex 32`");
    made->digest = *digest;
    return made;
}

// Root could do anything anyway.
bool is_trusted(uid_t owner) noexcept { return owner == 0 || owner == ::geteuid(); }

constexpr mode_t writable_by_others = S_IWGRP | S_IWOTH;

error not_safe(const fs::path& what, const std::string& why) { return invalid_request(what.native() + " " + why); }

std::string cure_owner(uid_t owner)
{
    return "belongs to user " + std::to_string(owner) +
           ", who could write any key; give it to root or to the server's user";
}

// Whoever may write a directory may replace what is in it, except where the sticky bit keeps strangers' things.
result<void> check_directories_of(const fs::path& real)
{
    for (auto directory = real.parent_path();; directory = directory.parent_path()) {
        struct stat seen{};
        if (::stat(directory.c_str(), &seen) != 0) return system_error(errc::io, directory.native());
        if (!is_trusted(seen.st_uid)) return not_safe(directory, cure_owner(seen.st_uid));
        if ((seen.st_mode & writable_by_others) != 0 && (seen.st_mode & S_ISVTX) == 0)
            return not_safe(directory,
                            "can be written by its group or by others, who could replace the keys; chmod go-w it");
        if (!directory.has_relative_path()) return {};
    }
}

// The file that a path leads to.
result<fs::path> real_place(const fs::path& file)
{
    struct stat seen{};
    if (::lstat(file.c_str(), &seen) != 0) return system_error(errc::io, file.native());
    std::error_code ec;
    const auto directory = fs::canonical(file.parent_path(), ec);
    if (ec) return error{errc::io, file.parent_path().native() + ": " + ec.message()};
    if (!S_ISLNK(seen.st_mode)) return directory / file.filename();
    if (!is_trusted(seen.st_uid)) return not_safe(file, cure_owner(seen.st_uid));
    // The directory of the link is checked as well as that of the file.
    if (auto safe = check_directories_of(directory / file.filename()); !safe) return safe.error();
    auto real = fs::canonical(file, ec);
    if (ec) return error{errc::io, file.native() + ": " + ec.message()};
    const auto within = directory.native() + "/";
    if (!real.native().starts_with(within))
        return not_safe(
            file, "is a symbolic link that leads out of its directory, to " + real.native() + "; name the file itself");
    return real;
}

result<std::string> read_whole(int fd, const fs::path& file, std::size_t most)
{
    std::string text;
    std::array<char, 16384> piece;
    while (text.size() <= most) {
        const auto got = ::read(fd, piece.data(), piece.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return system_error(errc::io, file.native());
        if (got == 0) return text;
        text.append(piece.data(), static_cast<std::size_t>(got));
    }
    return not_safe(file, "has more than " + std::to_string(most / 1024) + " KiB (auth.maxKeysFileKB)");
}

std::int64_t nanoseconds(const timespec& time) noexcept
{
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

result<std::vector<key_entry>> read_keys(std::string_view text, const keys_file_limits& limits)
{
    std::vector<filed_key> raw;
    json_members root;
    root.no_others();
    root.objects<filed_key>(
            "keys", raw,
            [](filed_key& one, json_members& its) {
                its.text("sha256", one.sha256).required();
                add_key_members(its, one.key);
            },
            "an object with name, sha256 and scopes")
        .required()
        .at_most(limits.max_keys,
                 invalid_request("keys has more than " + std::to_string(limits.max_keys) + " items (auth.maxKeys)"));
    // Of each key: itself, its members, the items of its scopes and its limits.
    if (const auto fault = read_json(text, root, {.max_depth = 8, .max_members = 16 + limits.max_keys * 24})) {
        if (fault->what == json_fault::kind::syntax) return invalid_request("it is not JSON: " + fault->message);
        if (fault->what == json_fault::kind::no_object)
            return invalid_request(R"(it must be an object: {"keys": [{"name": …, "sha256": …, "scopes": […]}]})");
        return invalid_request(fault->message);
    }
    std::vector<key_entry> made;
    std::map<std::string_view, std::size_t> by_name;
    std::map<sha256_digest, std::size_t> by_digest;
    for (std::size_t i = 0; i < raw.size(); ++i) {
        const auto place = "keys[" + std::to_string(i) + "]";
        auto one = checked(raw[i], place);
        if (!one) return one.error();
        if (const auto [first, fresh] = by_name.emplace(raw[i].key.name, i); !fresh)
            return invalid_request(place + ".name '" + raw[i].key.name + "' is that of keys[" +
                                   std::to_string(first->second) + "] too; a name is one tenant's, with one key");
        if (const auto [first, fresh] = by_digest.emplace(one->digest, i); !fresh)
            return invalid_request(place + ".sha256 is that of keys[" + std::to_string(first->second) +
                                   "] too; a key is one tenant's");
        made.push_back(std::move(*one));
    }
    return made;
}

result<std::vector<key_entry>> load_keys(const fs::path& file, const keys_file_limits& limits)
{
    const auto real = real_place(file);
    if (!real) return real.error();
    if (auto safe = check_directories_of(*real); !safe) return safe.error();
    // It waits for nobody, should it be a pipe.
    const unique_fd fd{::open(real->c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
    if (!fd) return system_error(errc::io, real->native());
    struct stat seen{};
    if (::fstat(fd.get(), &seen) != 0) return system_error(errc::io, real->native());
    if (!S_ISREG(seen.st_mode)) return not_safe(*real, "is not a regular file");
    if (!is_trusted(seen.st_uid)) return not_safe(*real, cure_owner(seen.st_uid));
    if ((seen.st_mode & writable_by_others) != 0)
        return not_safe(*real, "can be written by its group or by others, who could add keys; chmod go-w it");
    const auto text = read_whole(fd.get(), *real, limits.max_bytes);
    if (!text) return text.error();
    auto keys = read_keys(*text, limits);
    if (!keys) return error{keys.error().code, real->native() + ": " + keys.error().message};
    return keys;
}

std::optional<file_stamp> stamp_of(const fs::path& file)
{
    struct stat seen{};
    if (::stat(file.c_str(), &seen) != 0) return std::nullopt;
    return file_stamp{.device = seen.st_dev,
                      .inode = seen.st_ino,
                      .bytes = seen.st_size,
                      .written_ns = nanoseconds(seen.st_mtim),
                      .changed_ns = nanoseconds(seen.st_ctim)};
}

}  // namespace sandboxd::tenants
