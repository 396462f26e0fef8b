// A toolchain as emscripten's own installer (emsdk) leaves it: one directory with everything, and a cache of system
// libraries that emcc fills when it first needs them.
//
//     emsdk/.emscripten                     Python: where node, LLVM and binaryen are
//     emsdk/upstream/emscripten/emcc        beside em++, cache/, node_modules/
//     emsdk/upstream/bin                    clang, wasm-ld, wasm-opt
//     emsdk/node/<version>_64bit/bin/node
#pragma once

#include "base/errc.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::compile {

struct emsdk {
    std::string root;
    std::string emcc;    // absolute; em++ lies beside it
    std::string config;  // the .emscripten file
    std::string cache;
    // The paths to mount read only into a jail: the root, and whatever the configuration names elsewhere.
    std::vector<std::string> mounts;
    std::vector<std::string> tools;  // files whose change means another toolchain: emcc.py, clang, the configuration
};

// Reads the emsdk in `root`. Errors: unavailable, naming what is missing and the cure.
result<emsdk> read_emsdk(const std::string& root);

// The emsdk that an emcc belongs to, if it is part of one: for /opt/emsdk/upstream/emscripten/emcc, or a symbolic
// link to it, /opt/emsdk.
std::optional<std::string> emsdk_of(const std::string& emcc);

// The path that the configuration file gives `key`: 'text', emsdk_path + 'text', os.path.join(emsdk_path, 'a', 'b'),
// or the first of a list of these. The file is Python and is not run; nullopt for any other expression.
std::optional<std::string> emsdk_setting(std::string_view config, std::string_view key, std::string_view root);

// Arguments for warming the cache, one compile each: together they use all system libraries that allowed arguments
// can ask for. `cpp` selects the driver.
struct warming {
    bool cpp;
    std::vector<std::string> args;
};
std::vector<warming> warmings();

}  // namespace sandboxd::compile
