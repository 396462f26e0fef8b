// Reads the fields of a JSON object by hand and names the bad one with its path: `files[2].path`.
//
// It reads the configuration and files that this server wrote. Boost.JSON's described structs demand the exact member
// count and do not name the bad one. Untrusted JSON is read by base/json_reader.hpp, because chosen member names can
// make an object expensive. A reader lists its fields and asks `failed()` once at the end: an error does not stop it,
// so every wrong key is reported, once.
#pragma once

#include "base/errc.hpp"

#include <boost/json/value.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd {

class json_fields {
public:
    // `path` is the object's own path, empty for the top one. The object must outlive the reader.
    json_fields(const boost::json::object& object, std::string path);

    bool has(std::string_view key) const;

    // Each read leaves `into` alone when the key is absent. `null` counts as absent for std::optional targets only. A
    // wrong type or a value out of range is an error.
    void text(std::string_view key, std::string& into);
    void text(std::string_view key, std::optional<std::string>& into);
    void boolean(std::string_view key, bool& into);
    void number(std::string_view key, std::int64_t& into, std::int64_t low, std::int64_t high);
    // From 0 to 1.
    void ratio(std::string_view key, double& into);
    void texts(std::string_view key, std::vector<std::string>& into);
    // Null when absent or not of that type (which is then an error).
    const boost::json::object* object(std::string_view key);
    const boost::json::array* array(std::string_view key);

    // The keys that no read has asked for, in their order.
    std::vector<std::string> others() const;

    // The paths of all keys that were asked for so far, in that order.
    std::vector<std::string> asked() const;
    // The paths of the numbers among them, and what each one's target held afterwards.
    const std::vector<std::pair<std::string, std::int64_t>>& numbers() const noexcept { return numbers_; }

    // Records an error that the caller found in `key`; the message is the path followed by `what`. Only the first
    // error of a key counts.
    void fail(std::string_view key, std::string_view what);
    // The same for one of several items of `key`, each of which counts.
    void fail_item(std::string_view key, std::string_view what);
    // Takes over the errors of a reader of a nested object.
    void take_errors(const json_fields& nested);

    bool failed() const noexcept { return !errors_.empty(); }
    bool failed_at(std::string_view key) const;
    // Every message, in the order of the reads.
    std::vector<std::string> messages() const;
    // The first error. `code` says what the object belongs to: a request, a configuration.
    error to_error(errc code = errc::invalid_request) const;

    std::string path_of(std::string_view key) const;

private:
    const boost::json::value* find(std::string_view key);

    struct failure {
        std::string path;
        std::string what;
    };

    const boost::json::object& object_;
    std::string path_;
    std::vector<std::string> asked_;
    std::vector<std::pair<std::string, std::int64_t>> numbers_;
    std::vector<failure> errors_;
};

// "a string", "an integer", …: how a value's kind is named in errors.
std::string_view kind_name(const boost::json::value& value);

}  // namespace sandboxd
