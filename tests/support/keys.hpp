// A file of keys for a server, and requests that have one of them.
#pragma once

#include "base/digest.hpp"
#include "support/files.hpp"
#include "support/http_client.hpp"
#include "support/temporary_directory.hpp"

#include <sys/stat.h>

#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

namespace sandboxd::test {

struct told_key {
    std::string name;
    std::string key;
    std::vector<std::string> scopes;
    std::string limits{};  // as JSON; empty: none
};

inline const std::vector<std::string> every_scope{"compile", "execute", "sandbox", "deploy", "admin", "keys"};

inline header_list with_key(const std::string& key) { return {{"Authorization", "Bearer " + key}}; }

class keys_file {
public:
    explicit keys_file(const std::vector<told_key>& keys) { put(keys); }

    // The file is replaced as a whole, as one who knows what he does replaces it.
    void put(const std::vector<told_key>& keys) const
    {
        std::string all;
        for (const auto& one : keys) {
            std::string scopes;
            for (const auto& scope : one.scopes) scopes += (scopes.empty() ? "\"" : ", \"") + scope + '"';
            all += (all.empty() ? R"({"name": ")" : R"(, {"name": ")") + one.name + R"(", "sha256": ")" +
                   to_hex(sha256_of(one.key)) + R"(", "scopes": [)" + scopes + "]" +
                   (one.limits.empty() ? "" : R"(, "limits": )" + one.limits) + "}";
        }
        put_text(R"({"keys": [)" + all + "]}");
    }
    void put_text(const std::string& text) const
    {
        write_file(own_ / "next", text);
        if (::chmod((own_ / "next").c_str(), 0600) != 0) throw std::runtime_error("chmod failed");
        std::filesystem::rename(own_ / "next", path());
    }
    std::filesystem::path path() const { return own_ / "keys.json"; }
    // A member of the configuration; `more` are other members of its section.
    std::string config(const std::string& more = {}) const
    {
        return R"("auth": {"keysFile": ")" + path().native() + "\"" + (more.empty() ? "" : ", " + more) + "}";
    }

private:
    temporary_directory own_;
};

}  // namespace sandboxd::test
