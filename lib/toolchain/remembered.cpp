#include "toolchain/remembered.hpp"

#include "base/json_reader.hpp"
#include "base/text_file.hpp"
#include "base/unique_fd.hpp"
#include "base/utf8.hpp"
#include "disk/files.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

namespace sandboxd::toolchain {

namespace json = boost::json;

namespace {

constexpr std::int64_t most_uses = 1'000'000;
constexpr std::size_t most_file_bytes = 1u << 20;

// As JSON, with which a byte can take six.
std::size_t bytes_of(std::string_view text) { return json::serialize(json::string_view{text}).size() + 1; }

bool may_be_remembered(const std::vector<std::string>& args, std::string_view text)
{
    if (text.empty() || text.size() > remembered::most_bytes_of_one || !is_valid_utf8(text)) return false;
    auto bytes = bytes_of(text);
    for (const auto& word : args) {
        if (bytes > remembered::most_bytes_of_one || !is_valid_utf8(word)) return false;
        bytes += bytes_of(word);
    }
    return bytes <= remembered::most_bytes_of_one;
}

}  // namespace

void remembered::used(const std::vector<std::string>& args, std::string_view text)
{
    const auto at = std::ranges::find_if(all_, [&](const one& each) { return each.text == text && each.args == args; });
    if (at != all_.end()) {
        at->uses = std::min(at->uses + 1, most_uses);
        return;
    }
    if (!may_be_remembered(args, text)) return;
    if (all_.size() == most) all_.erase(std::ranges::min_element(all_, {}, &one::uses));
    all_.push_back({args, std::string{text}, 1});
}

std::vector<remembered::one> remembered::all() const
{
    auto sorted = all_;
    std::ranges::sort(sorted, std::ranges::greater{}, &one::uses);
    return sorted;
}

bool remembered::load(const std::string& path)
{
    std::vector<one> read;
    json_members root;
    root.objects<one>("preambles", read,
                      [](one& each, json_members& its) {
                          its.texts("args", each.args).required();
                          its.text("text", each.text).required();
                          its.number("uses", each.uses, 1, most_uses).required();
                      })
        .required()
        .at_most(most);
    const auto text = read_text(path, most_file_bytes);
    if (text.empty() || read_json(text, root)) return false;
    if (!std::ranges::all_of(read, [](const one& each) { return may_be_remembered(each.args, each.text); }))
        return false;
    for (auto& each : read) each.uses = (each.uses + 1) / 2;
    all_ = std::move(read);
    return true;
}

result<void> remembered::save(const std::string& path) const
{
    json::array preambles;
    for (const auto& each : all())
        preambles.push_back(json::object{
            {"args", json::array(each.args.begin(), each.args.end())}, {"text", each.text}, {"uses", each.uses}});
    const auto text = json::serialize(json::object{{"preambles", std::move(preambles)}}) + "\n";
    const auto fresh = path + ".new";
    const auto failed = [&](const char* what) { return disk::io_error(what, fresh, errno); };
    const unique_fd file{::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600)};
    if (!file) return failed("create");
    if (!disk::write_all(file.get(), text)) {
        auto why = failed("write");
        ::unlink(fresh.c_str());
        return why;
    }
    if (std::rename(fresh.c_str(), path.c_str()) != 0) return failed("rename");
    return {};
}

}  // namespace sandboxd::toolchain
