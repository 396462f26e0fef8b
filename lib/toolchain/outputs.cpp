#include "toolchain/outputs.hpp"

#include "base/unique_fd.hpp"
#include "disk/files.hpp"
#include "disk/remove_tree.hpp"

#include <fcntl.h>

#include <string_view>
#include <utility>

namespace sandboxd::toolchain {

namespace asio = boost::asio;

namespace {

disk::listing listing_of(const std::string& path)
{
    return disk::listing{unique_fd{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)}};
}

}  // namespace

outputs::outputs(const sandboxd::jail::spec& job)
{
    for (const auto& one : job.mounts) {
        if (!one.writable) continue;
        auto items = listing_of(one.source);
        place made{.path = one.source, .names = {}};
        while (const auto* const item = items.next()) made.names.emplace(item->name);
        if (items.directory() >= 0 && items.failure() == 0) places_.push_back(std::move(made));
    }
}

asio::awaitable<void> outputs::remove_new() const
{
    for (const auto& one : places_) {
        auto items = listing_of(one.path);
        std::vector<std::string> added;
        while (const auto* const item = items.next())
            if (!one.names.contains(std::string_view{item->name})) added.emplace_back(item->name);
        for (const auto& name : added) {
            const auto removed = co_await disk::remove_tree_in_turns(items.directory(), name);
            static_cast<void>(removed);
        }
    }
}

}  // namespace sandboxd::toolchain
