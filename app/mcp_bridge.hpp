// `sandboxd mcp`: the Model Context Protocol on standard input and output, for hosts that start their servers
// themselves. Each line is posted to a running server's /mcp, and what that answers is printed, a message a line.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/stdio
#pragma once

#include "base/errc.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace sandboxd::app {

// Where the server is.
struct mcp_place {
    std::string host;  // without brackets; empty: `path` is a Unix socket's
    std::uint16_t port{80};
    std::string path;       // of the socket
    std::string authority;  // for the Host field
    std::string target;     // "/mcp", below the URL's own path
};

// `http://localhost:8080`, with or without a path, or `unix:/run/sandboxd.sock`. Errors: invalid_request; also for
// https, which needs a proxy.
result<mcp_place> parse_mcp_place(std::string_view url);

// The key for the server: `key` (of the environment), else the content of `file`, else none, which is empty. Errors:
// io, invalid_request; the message does not have the text.
result<std::string> read_mcp_key(const char* key, const std::string& file);

// Runs until standard input ends and what it has asked for is answered. Returns the exit status. `url`: --url, else
// SANDBOXD_URL of the environment, else http://localhost:8080.
int run_mcp(std::span<const char* const> arguments);

}  // namespace sandboxd::app
