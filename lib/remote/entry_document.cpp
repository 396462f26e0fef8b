#include "remote/entry_document.hpp"

#include "artifacts/manifest.hpp"
#include "artifacts/names.hpp"
#include "base/digest.hpp"
#include "base/json_reader.hpp"
#include "base/text.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <nettle/hmac.h>
#include <nettle/memops.h>

#include <limits>
#include <optional>
#include <set>
#include <span>

namespace sandboxd::remote {

namespace json = boost::json;

namespace {

constexpr std::int64_t version = 1;
constexpr std::size_t signature_digits = 64;

// Protocol buffers, as far as they are needed here: https://protobuf.dev/programming-guides/encoding/

enum wire : unsigned { varint = 0, fixed64 = 1, text_of_length = 2, fixed32 = 5 };

// remote_execution.proto: ActionResult, OutputFile, Digest, ExecutedActionMetadata.
constexpr unsigned result_output_files = 2;
constexpr unsigned result_stdout_raw = 5;
constexpr unsigned result_execution_metadata = 9;
constexpr unsigned file_path = 1;
constexpr unsigned file_digest = 2;
constexpr unsigned digest_hash = 1;
constexpr unsigned digest_size_bytes = 2;
constexpr unsigned metadata_worker = 1;

void put_varint(std::string& into, std::uint64_t value)
{
    while (value >= 0x80) {
        into += static_cast<char>(value | 0x80);
        value >>= 7;
    }
    into += static_cast<char>(value);
}

void put_text(std::string& into, unsigned field, std::string_view text)
{
    put_varint(into, field << 3 | text_of_length);
    put_varint(into, text.size());
    into += text;
}

void put_file(std::string& into, std::string_view name, const blob& of)
{
    std::string digest;
    put_text(digest, digest_hash, of.sha256);
    put_varint(digest, digest_size_bytes << 3 | varint);
    put_varint(digest, of.bytes);
    std::string file;
    put_text(file, file_path, name);
    put_text(file, file_digest, digest);
    put_text(into, result_output_files, file);
}

std::optional<std::uint64_t> take_varint(std::string_view& from)
{
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !from.empty(); shift += 7) {
        const auto byte = static_cast<unsigned char>(from.front());
        from.remove_prefix(1);
        value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) return value;
    }
    return std::nullopt;
}

bool skip(std::string_view& from, std::uint64_t bytes)
{
    if (bytes > from.size()) return false;
    from.remove_prefix(static_cast<std::size_t>(bytes));
    return true;
}

// `stdout_raw` of an ActionResult, exactly one; nullopt: there is none, or these bytes are no message. Caches add
// fields of their own.
std::optional<std::string_view> signed_part(std::string_view from)
{
    std::optional<std::string_view> found;
    while (!from.empty()) {
        const auto tag = take_varint(from);
        if (!tag) return std::nullopt;
        switch (*tag & 7) {
            case varint:
                if (!take_varint(from)) return std::nullopt;
                break;
            case fixed64:
                if (!skip(from, 8)) return std::nullopt;
                break;
            case fixed32:
                if (!skip(from, 4)) return std::nullopt;
                break;
            case text_of_length: {
                const auto size = take_varint(from);
                const auto rest = from;
                if (!size || !skip(from, *size)) return std::nullopt;
                if (*tag >> 3 != result_stdout_raw) break;
                if (found) return std::nullopt;
                found = rest.substr(0, static_cast<std::size_t>(*size));
                break;
            }
            default: return std::nullopt;
        }
    }
    return found;
}

json::object described(const blob& of) { return {{"bytes", of.bytes}, {"sha256", of.sha256}}; }

bool is_digest(std::string_view text)
{
    return text.size() == 64 && artifacts::is_id(text.substr(0, 32)) && artifacts::is_id(text.substr(32));
}

// What is read, before it is looked at.
struct read_blob {
    std::string name;
    std::int64_t bytes{0};
    std::string sha256;

    void tell(json_members& its)
    {
        its.number("bytes", bytes, 0, std::numeric_limits<std::int64_t>::max()).required();
        its.text("sha256", sha256).required();
    }
    blob taken() { return {static_cast<std::uint64_t>(bytes), std::move(sha256)}; }
};

error unfit(std::string why) { return invalid_request(std::move(why)); }

result<shared_entry> read_text(std::string_view text, const artifacts::collect_caps& caps)
{
    shared_entry made;
    std::int64_t written_as = 0;
    read_blob record;
    std::vector<read_blob> files;
    json_members root;
    root.number("version", written_as, version, version).required();
    root.text("id", made.id).required();
    root.object("record", [&record](json_members& its) { record.tell(its); }).required();
    root.objects<read_blob>("files", files,
                            [](read_blob& one, json_members& its) {
                                its.text("name", one.name).required();
                                one.tell(its);
                            })
        .required()
        .at_most(caps.max_files);
    if (const auto fault = read_json(text, root, {.max_depth = 4, .max_members = 1024})) return unfit(fault->message);
    if (!is_digest(record.sha256)) return unfit("record.sha256 is not a digest");
    made.record = record.taken();
    if (made.record.bytes > artifacts::longest_record) return unfit("the record is too long");
    std::set<std::string> seen;
    std::uint64_t total = 0;
    for (auto& one : files) {
        if (!artifacts::is_plain_name(one.name)) return unfit(in_quotes(one.name) + " is not a plain name");
        if (!seen.insert(one.name).second) return unfit(in_quotes(one.name) + " comes twice");
        if (!is_digest(one.sha256)) return unfit("the sha256 of " + in_quotes(one.name) + " is not a digest");
        auto what = one.taken();
        if (what.bytes > caps.max_bytes_each) return unfit(in_quotes(one.name) + " is too large");
        total += what.bytes;
        if (total > caps.max_bytes_total) return unfit("the files are too large together");
        made.files.push_back({std::move(one.name), std::move(what)});
    }
    return made;
}

std::span<const std::uint8_t> octets(std::string_view text)
{
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// Each part has its length in front, so that two of them never sign alike.
std::string hmac(std::string_view secret, std::initializer_list<std::string_view> parts)
{
    hmac_sha256_ctx context{};
    const auto key = octets(secret);
    hmac_sha256_set_key(&context, key.size(), key.data());
    for (const auto part : parts) {
        const auto size = std::to_string(part.size()) + ":";
        hmac_sha256_update(&context, size.size(), octets(size).data());
        hmac_sha256_update(&context, part.size(), octets(part).data());
    }
    sha256_digest made{};
    hmac_sha256_digest(&context, made.size(), made.data());
    return to_hex(made);
}

}  // namespace

std::string signing_key::place_of(std::string_view id) const { return hmac(secret_, {"sandboxd entry's place 1", id}); }

std::string signing_key::sign(std::string_view id, std::string_view text) const
{
    return hmac(secret_, {"sandboxd entry 1", id, text});
}

bool signing_key::is_signed(std::string_view id, std::string_view text, std::string_view signature) const
{
    const auto right = sign(id, text);
    return signature.size() == right.size() && memeql_sec(signature.data(), right.data(), right.size()) != 0;
}

std::string write_document(const shared_entry& from, const signing_key& key)
{
    json::array files;
    for (const auto& one : from.files) {
        auto object = described(one.what);
        object["name"] = one.name;
        files.push_back(std::move(object));
    }
    const auto text = json::serialize(json::object{
        {"version", version}, {"id", from.id}, {"files", std::move(files)}, {"record", described(from.record)}});

    std::string made;
    for (const auto& one : from.files) put_file(made, one.name, one.what);
    // The leading dot: no artifact is called so.
    put_file(made, ".record", from.record);
    put_text(made, result_stdout_raw, key.sign(from.id, text) + "\n" + text);
    // bazel-remote writes the client's address where no worker is named.
    std::string metadata;
    put_text(metadata, metadata_worker, "sandboxd");
    put_text(made, result_execution_metadata, metadata);
    return made;
}

result<shared_entry> read_document(std::string_view bytes, std::string_view id, const signing_key& key,
                                   const artifacts::collect_caps& caps)
{
    const auto part = signed_part(bytes);
    if (!part || part->size() <= signature_digits || (*part)[signature_digits] != '\n')
        return error{errc::forbidden, "the document is not signed"};
    const auto text = part->substr(signature_digits + 1);
    if (!key.is_signed(id, text, part->substr(0, signature_digits)))
        return error{errc::forbidden,
                     "the document is not signed with this fleet's key (store.signingKeyFile) for this entry"};
    auto read = read_text(text, caps);
    if (read && read->id != id) return invalid_request("the document is another entry's");
    return read;
}

}  // namespace sandboxd::remote
