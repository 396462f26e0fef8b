// fsync(2) for the one thread: it may take half a second where others write to the same disk, and nobody else waits
// for it.
#pragma once

#include <boost/asio/awaitable.hpp>

namespace sandboxd::async {

// Returns once the file or directory is on the disk: 0, or fsync(2)'s errno. `file` stays open until then.
//
// The kernel does it by its asynchronous I/O (io_submit(2) with IOCB_CMD_FSYNC, Linux 4.18). Where that is refused, as
// under a seccomp filter that leaves it out or with /proc/sys/fs/aio-max-nr used up, this blocks.
boost::asio::awaitable<int> sync_to_disk(int file);

}  // namespace sandboxd::async
