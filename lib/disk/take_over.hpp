// Makes a tree that a job has left this process's own: what is kept for others must not belong to a uid that another
// job will get.
#pragma once

#include "base/errc.hpp"

#include <boost/asio/awaitable.hpp>

#include <string>

namespace sandboxd::disk {

// Gives everything in the directory `name` of `parent`, and itself, to this process's user and group, and lets
// everybody read it and nobody else write to it: directories 0755, files 0755 where their owner may execute them, else
// 0644. Links are given, too, and never followed. In turns of a few hundred names; no job may be at it any more.
// `parent` must stay open until it is done. Errors: io, for the first name that could not be changed, a tree more than
// 64 directories deep, or what is neither a file nor a directory nor a link.
boost::asio::awaitable<result<void>> take_over_in_turns(int parent, std::string name);

}  // namespace sandboxd::disk
