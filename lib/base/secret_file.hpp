// Files that hold a secret: a key, a token.
#pragma once

#include "base/errc.hpp"

#include <cstddef>
#include <string>

namespace sandboxd {

// The file's text without the line end at its end. It is refused if others than its owner and group may read it, or
// others than its owner may write it: then it is no secret. A symbolic link is followed, since Kubernetes mounts
// secrets as links. Blocks. Errors: io, invalid_request (its mode, fewer than `least` or more than 4096 bytes, several
// lines); each names the file and the cure, and never its text.
result<std::string> read_secret(const std::string& file, std::size_t least);

}  // namespace sandboxd
