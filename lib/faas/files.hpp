// Deployments on disk.
//
//     <root>/<id>/manifest.json   what it is; written beside and renamed, so it is whole or the one before
//     <root>/<id>/app/            its files, mounted read-only in its jail
//     <root>/<id>/next/           an update while it is being written: forgotten after a crash
//     <root>/<id>/ready/          an update that is complete: carried out after a crash
//     <root>/.gone-…              being removed
//
// The files of an update are renamed one by one into the directory that a running jail has mounted, so that a
// runtime which watches its files sees them; whatever happens, in the end all of them are there, or none.
#pragma once

#include "base/errc.hpp"
#include "base/unique_fd.hpp"
#include "runtimes/program_files.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::faas {

using deployment_file = runtimes::program_file;
using runtimes::check_files;
using runtimes::file_limits;
using runtimes::path_fault;

class file_store {
public:
    // `root` is made when missing. Carries out complete updates, forgets others, removes what was being removed.
    // Blocks; for the start. Errors: io.
    static result<file_store> open(std::filesystem::path root);

    struct entry {
        std::string id;
        std::string manifest;
    };
    // Every deployment that has a manifest, in the order of their ids.
    result<std::vector<entry>> load() const;

    // Errors: io; then nothing is left.
    result<void> create(const std::string& id, std::string_view manifest, const std::vector<deployment_file>& files);
    // Errors: io; then nothing has changed. The files have been checked together with those that are there.
    result<void> update(const std::string& id, const std::vector<deployment_file>& files);
    result<void> write_manifest(const std::string& id, std::string_view manifest);
    // The paths of all its files.
    result<std::vector<std::string>> paths(const std::string& id) const;
    // Empty when there is none, or it is larger than `most`.
    std::string read(const std::string& id, const std::string& path, std::size_t most) const;
    std::size_t bytes(const std::string& id) const;
    // It is gone for everybody at once; the space is freed by the time this returns.
    boost::asio::awaitable<result<void>> remove(std::string id);

    std::filesystem::path app_path(const std::string& id) const { return root_ / id / "app"; }

private:
    file_store(std::filesystem::path root, unique_fd directory)
        : root_{std::move(root)}, directory_{std::move(directory)}
    {
    }
    result<void> finish(const std::filesystem::path& own);

    std::filesystem::path root_;
    unique_fd directory_;
    std::uint64_t removed_{0};
};

}  // namespace sandboxd::faas
