// fsync(2) without blocking the one thread: it can take half a second when others write to the same disk.
#pragma once

#include <boost/asio/awaitable.hpp>

namespace sandboxd::async {

// Returns once the file or directory is on disk: 0, or fsync(2)'s errno. `file` must stay open until then.
//
// It uses the kernel's asynchronous I/O (io_submit(2) with IOCB_CMD_FSYNC, Linux 4.18). If that is refused, by a
// seccomp filter or because /proc/sys/fs/aio-max-nr is used up, this blocks.
boost::asio::awaitable<int> sync_to_disk(int file);

}  // namespace sandboxd::async
