// Deployments on disk.
//
//     <root>/<id>/manifest.json   its description; written under another name and renamed, so never half of it
//     <root>/<id>/app/            its files: the authoritative copy, always one complete set
//     <root>/<id>/next/           the tree that an update builds; after the exchange, the one before
//     <root>/<id>/live/           hard links to the files: its programs have this mounted, read only
//     <root>/.gone-…              being removed
//
// An update builds a whole tree and exchanges it with `app` in one step (renameat2(2), RENAME_EXCHANGE). Whatever
// fails and whenever the server dies, `app` holds the old or the new set of files. A running program would not see
// the exchange: its mount, its working directory and its watches are bound to directories, not to names. So programs
// mount `live`, whose directories stay and into which changed files are renamed one by one, as runtimes that watch
// files expect. `live` is derived from `app`, so nothing depends on it: before a program starts the two are compared,
// and leftovers of an interrupted update are repaired.
//
// Only one server may use <root>. Long work runs in turns; calls for one deployment must not overlap.
#pragma once

#include "base/errc.hpp"
#include "base/unique_fd.hpp"
#include "programs/program_files.hpp"

#include <boost/asio/awaitable.hpp>

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::faas {

using deployment_file = programs::program_file;
using programs::check_files;
using programs::file_limits;
using programs::path_fault;

class file_store {
public:
    static constexpr std::size_t largest_manifest = 8u << 20;

    // Makes `root` if it is missing. Discards half-made deployments and updates, and finishes removals; failures are
    // logged and left. Blocks; for the start. `group`: only its programs can pass through the root. Errors: io, when
    // the root cannot be used.
    static result<file_store> open(std::filesystem::path root, std::optional<gid_t> group = std::nullopt);

    struct entry {
        std::string id;
        std::string manifest;
        std::string fault{};      // why it cannot be used; empty: it can
        std::int64_t changed{0};  // seconds since 1970
    };
    // All deployments, including damaged ones, ordered by id. Blocks.
    result<std::vector<entry>> load() const;

    // Errors: io, payload_too_large (the manifest); then nothing is left that the next start does not remove.
    boost::asio::awaitable<result<void>> create(std::string id, std::string manifest,
                                                std::vector<deployment_file> files);

    // Adds and replaces files. `shown`: a running program must see the change. `alone`: the files that are there and
    // not among these go. The caller has checked the files together with those that stay. Errors: io; the old files
    // stay then.
    boost::asio::awaitable<result<void>> update(std::string id, std::vector<deployment_file> files, bool shown,
                                                bool alone = false);
    // Replaces the manifest. Errors: io, payload_too_large; the old one stays then.
    boost::asio::awaitable<result<void>> describe(std::string id, std::string manifest);
    // All files with what is in them. Errors: io, payload_too_large (more bytes than `most`).
    boost::asio::awaitable<result<std::vector<deployment_file>>> read_all(std::string id, std::uint64_t most);

    // Makes `live` match `app`; returns its path. Errors: io.
    boost::asio::awaitable<result<std::filesystem::path>> prepare(std::string id);

    struct survey {
        std::vector<std::string> paths;  // sorted
        std::uint64_t bytes{0};
    };
    boost::asio::awaitable<result<survey>> look(std::string id);

    // Empty when the file is missing or larger than `most`.
    std::string read(const std::string& id, const std::string& path, std::size_t most) const;

    // The deployment disappears at once and stays away after a restart; its space is free when this returns. Errors:
    // io.
    boost::asio::awaitable<result<void>> remove(std::string id);

private:
    file_store(std::filesystem::path root, unique_fd directory)
        : root_{std::move(root)}, directory_{std::move(directory)}
    {
    }
    unique_fd open_own(const std::string& id) const;
    void recover(const std::string& id);

    std::filesystem::path root_;
    unique_fd directory_;
    std::uint64_t removed_{0};
};

}  // namespace sandboxd::faas
