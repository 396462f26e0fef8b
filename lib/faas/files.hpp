// Deployments on disk.
//
//     <root>/<id>/manifest.json   what it is; written beside and renamed, so it is whole or not there
//     <root>/<id>/app/            its files: the truth, always one whole set of them
//     <root>/<id>/next/           the tree that an update builds; after the exchange, the one before
//     <root>/<id>/live/           the files once more, by hard links: what its programs have mounted, read-only
//     <root>/.gone-…              being removed
//
// An update builds a whole tree and exchanges it for `app` in one step (renameat2(2), RENAME_EXCHANGE): whatever
// fails and whenever the server dies, there is one set of files or the other. A program that runs would not see
// that: its mount, its working directory and its watches hold on to directories, not to names. So programs have
// `live` mounted, whose directories stay and into which changed files are renamed one by one, as a runtime that
// watches them expects. `live` follows from `app`, so nothing depends on it: before a program is started the two are
// compared, and what an update that was cut short has left there is put right.
//
// A directory below <root> is one server's. What takes long goes in turns; calls for one deployment must not overlap.
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

    // `root` is made when missing. Forgets what was being made or written, removes what was being removed; what
    // cannot be is logged and stays. Blocks; for the start. `group`: whose programs get through the root; nobody else
    // does. Errors: io, when the root cannot be used.
    static result<file_store> open(std::filesystem::path root, std::optional<gid_t> group = std::nullopt);

    struct entry {
        std::string id;
        std::string manifest;
        std::string fault{};      // why it cannot be used; empty: it can
        std::int64_t changed{0};  // seconds since 1970
    };
    // Every deployment there is, those that cannot be used included, in the order of their ids. Blocks.
    result<std::vector<entry>> load() const;

    // Errors: io, payload_too_large (the manifest); then nothing is left, or only what the next start removes.
    boost::asio::awaitable<result<void>> create(std::string id, std::string manifest,
                                                std::vector<deployment_file> files);

    // Adds and replaces files. `shown`: a program runs that is to see it. The files have been checked together with
    // those that are there. Errors: io; then the files are those from before.
    boost::asio::awaitable<result<void>> update(std::string id, std::vector<deployment_file> files, bool shown);

    // Puts `live` right; returns its path. Errors: io.
    boost::asio::awaitable<result<std::filesystem::path>> prepare(std::string id);

    struct survey {
        std::vector<std::string> paths;  // sorted
        std::uint64_t bytes{0};
    };
    boost::asio::awaitable<result<survey>> look(std::string id);

    // Empty when there is none, or it is larger than `most`.
    std::string read(const std::string& id, const std::string& path, std::size_t most) const;

    // It is gone for everybody at once, and after a restart; the space is freed by the time this returns. Errors: io.
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
