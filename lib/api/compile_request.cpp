#include "api/compile_request.hpp"

#include "base/json_fields.hpp"

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sandboxd::api {

namespace json = boost::json;

namespace {

result<std::vector<compile::source_file>> read_files(const json::array& items)
{
    std::vector<compile::source_file> files;
    for (std::size_t i = 0; i < items.size(); ++i) {
        const auto path = "files[" + std::to_string(i) + "]";
        const auto* item = items[i].if_object();
        if (!item) return invalid_request(path + " must be an object with path and content");
        json_fields fields{*item, path};
        compile::source_file file;
        fields.text("path", file.path);
        fields.text("content", file.content);
        if (!fields.has("path")) fields.fail("path", "is required");
        if (!fields.has("content")) fields.fail("content", "is required");
        if (fields.failed()) return fields.to_error();
        files.push_back(std::move(file));
    }
    return files;
}

}  // namespace

result<compile::request> read_compile_request(std::string_view body)
{
    boost::system::error_code ec;
    json::parse_options options;
    options.max_depth = 16;
    const auto value = json::parse({body.data(), body.size()}, ec, {}, options);
    if (ec) return invalid_request("invalid JSON: " + ec.message());
    const auto* root = value.if_object();
    if (!root) return invalid_request("invalid JSON: the body must be an object");

    json_fields fields{*root, {}};
    compile::request into;
    std::optional<std::string> code;
    std::optional<std::string> type;
    fields.text("code", code);
    fields.text("type", type);
    fields.boolean("cache", into.cache);
    if (root->contains("args") && !root->at("args").is_null()) fields.texts("args", into.args);
    const auto* files = root->contains("files") && !root->at("files").is_null() ? fields.array("files") : nullptr;
    if (fields.failed()) return fields.to_error();
    if (type) {
        into.type = compile::parse_language(*type);
        if (!into.type) return invalid_request("type must be 'c' or 'cpp'");
    }
    if (files && !files->empty()) {
        if (code && !code->empty()) return invalid_request("send either code or files, not both");
        auto read = read_files(*files);
        if (!read) return read.error();
        into.files = std::move(*read);
        return into;
    }
    if (!code || code->empty()) return invalid_request("code is required");
    into.code = std::move(*code);
    return into;
}

}  // namespace sandboxd::api
