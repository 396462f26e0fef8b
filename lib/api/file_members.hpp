// The files of a request: `[{path, content, encoding?}]`, the same for all that take files.
#pragma once

#include "base/errc.hpp"
#include "base/json_reader.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd::api {

// Decodes `content` in place. `encoding` is "utf-8" (or "utf8", or absent: plain text) or strict "base64" (RFC 4648,
// section 4). Errors: invalid_request, naming the bad member of file `index`.
std::optional<error> decode_content(std::size_t index, const std::optional<std::string>& encoding,
                                    std::string& content);

// Reads into a list of items with a path and a content. Must live until the request is read.
template <class File>
class file_members {
public:
    explicit file_members(std::vector<File>& into) : into_{into} {}

    // At most `most` files; `otherwise` is the error for more.
    json_members::member& add_to(json_members& root, std::size_t most, error otherwise)
    {
        const auto describe = [this](File& one, json_members& its) {
            its.text("path", one.path).required().means("A relative path, without `.` and `..`.");
            its.text("content", one.content).required().means("The text, or base64 of the bytes.");
            its.text("encoding", encodings_.emplace_back())
                .means(
                    "`utf-8` (the default) or `base64` (RFC 4648), for binary data. Limits count the decoded bytes.");
        };
        return root.objects<File>("files", into_, describe, "an object with path and content")
            .at_most(most, std::move(otherwise));
    }

    // Call once, after the request is read. Limits of files count the decoded bytes. Errors: invalid_request.
    std::optional<error> decode()
    {
        for (std::size_t i = 0; i < into_.size(); ++i)
            if (auto wrong = decode_content(i, encodings_[i], into_[i].content)) return wrong;
        return std::nullopt;
    }

private:
    std::vector<File>& into_;
    std::vector<std::optional<std::string>> encodings_;  // one for each file
};

}  // namespace sandboxd::api
