// Removes a directory tree that hostile code has built.
//
// Neither recursion nor one open descriptor a level would survive a chain of a hundred thousand
// directories, and a path of that depth cannot be named. So the tree is flattened: a directory that
// is not empty is renamed to stand directly beneath the top of the tree and emptied there. That
// takes two open directories and two buffers, whatever the tree looks like. Links are removed,
// never followed.
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
    // `name` in the directory `parent`, which must stay open. A name that is not there is removed
    // already; one that is not a directory is simply unlinked.
    tree_remover(int parent, std::string name);

    // Looks at up to `names` more names. True when it is finished: the tree is gone, or what is
    // left cannot be removed.
    bool step(std::size_t names);

    // Success, or io for the first name that could not be removed. Errors appear while removing
    // goes on.
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
    std::optional<listing> inner_;  // a directory directly beneath the top
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
