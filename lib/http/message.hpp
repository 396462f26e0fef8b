// A handler's response: a status, a few fields, and a body that is text, a part of shared memory, or a part of an
// open file. The session adds framing, Date and X-Request-Id.
#pragma once

#include "base/unique_fd.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace sandboxd::http {

struct memory_slice {
    std::shared_ptr<const std::string> owner;
    std::string_view bytes;
    bool counts{false};  // as unsent while it is sent, because the sender may be the last who holds it
};

struct file_slice {
    std::shared_ptr<const unique_fd> file;
    std::uint64_t offset{0};
    std::uint64_t bytes{0};
};

struct response {
    unsigned status{200};
    std::string_view content_type;  // a literal; empty: no Content-Type
    // Names are literals; values contain no control characters.
    std::vector<std::pair<std::string_view, std::string>> fields;
    std::variant<std::string, memory_slice, file_slice> body;
    bool close{false};              // end the connection after this answer
    bool is_for_now{false};         // the same request may have another one later, whatever the status says; not sent
    std::string cause;              // of a 500, for the log alone; not sent
    std::string_view error_code{};  // the stable name of its error, a literal, for whoever watches; not sent

    std::uint64_t body_bytes() const noexcept;
    // The body, if it is in memory; empty for a file's.
    std::string_view text() const noexcept;
    // Makes a text a part of shared memory, so that copies of this response do not copy it.
    void share_body();
};

// The head of an upstream's answer. `fields` are the lines to send, each with its CRLF. Their maker has checked that
// they are well-formed and do not concern the connection or the framing of the body.
struct raw_head {
    unsigned status{200};
    std::string_view reason{};  // empty: the usual one
    std::string_view fields{};
    bool has_date{false};  // `fields` has a Date
};

// The reason phrase, "Not Found"; "Unknown" for a status this server does not use.
std::string_view reason(unsigned status) noexcept;

}  // namespace sandboxd::http
