// Removes a directory tree that hostile code has built.
//
// A chain of a hundred thousand directories would exhaust recursion or one descriptor per level, and no path can name
// its end. So the tree is flattened: a non-empty directory is moved directly below the top and emptied there. That
// takes two open directories and two buffers for any tree. Links are removed, never followed.
#pragma once

#include "async/turns.hpp"
#include "base/errc.hpp"
#include "disk/files.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace sandboxd::disk {

class tree_remover {
public:
    // `name` in the directory `parent`, which must stay open. A missing name counts as removed; anything but a
    // directory is unlinked.
    tree_remover(int parent, std::string name);

    // Handles up to `names` more names. True when it is finished: the tree is gone, or the rest cannot be removed.
    bool step(std::size_t names);

    // Success, or io for the first name that could not be removed. Removing goes on after an error.
    result<void> outcome() const;

private:
    bool unlink(int directory, const char* name, unsigned char type);
    bool remove_directory(int directory, const char* name);
    bool lift(const char* name);
    void finish_inner();
    void finish_pass();
    void fail(const char* name, int error_number);
    void start();

    int parent_;
    std::string name_;
    std::optional<listing> top_;
    std::optional<listing> inner_;  // a directory directly below the top
    std::string inner_name_;
    bool inner_progress_{false};
    bool progress_{false};  // in this pass over the top
    bool finished_{false};
    std::uint64_t lifted_{0};
    std::uint64_t steps_{0};
    std::optional<error> failure_;
};

// The whole tree at once.
result<void> remove_tree(int parent, const std::string& name);

// In turns. `parent` must stay open until it is done.
boost::asio::awaitable<result<void>> remove_tree_in_turns(int parent, std::string name);
boost::asio::awaitable<result<void>> remove_tree_in_turns(int parent, std::string name, async::turns& turn);

}  // namespace sandboxd::disk
