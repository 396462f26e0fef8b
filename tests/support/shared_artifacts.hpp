// Servers that share their artifacts: what the tests of it have in common.
#pragma once

#include "base/digest.hpp"
#include "remote/entry_document.hpp"
#include "support/eventually.hpp"
#include "support/http_client.hpp"
#include "support/server_process.hpp"
#include "support/temporary_directory.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>

namespace sandboxd::test {

// A file that holds a secret.
class secret {
public:
    explicit secret(const std::string& text, mode_t mode = 0400)
    {
        std::ofstream{path()} << text << "\n";
        ::chmod(path().c_str(), mode);
    }
    std::string path() const { return here_ / "secret"; }

private:
    temporary_directory here_;
};

inline const std::string fleet_key(40, 'k');

// The member of the configuration; `more`: further members of the section, each with a comma in front.
inline std::string store_section(const std::string& url, const secret& key, const std::string& more = {})
{
    return "\"store\": {\"remote\": \"" + url + "\", \"signingKeyFile\": \"" + key.path() + "\"" + more + "}";
}

// What a compile's answer says of its artifacts: the digest of each.
inline std::map<std::string, std::string> digests_of(const http_answer& compiled)
{
    std::map<std::string, std::string> found;
    const auto answer = compiled.json();
    for (const auto& one : answer.at("artifacts").as_array())
        found[std::string{one.at("name").as_string()}] = one.at("sha256").as_string();
    return found;
}

inline std::string id_of(const http_answer& compiled) { return std::string{compiled.json().at("id").as_string()}; }

inline boost::json::object hello(int salt)
{
    return {{"code", "int main(void) { return " + std::to_string(salt) + "; }\n"}};
}

inline bool has_shared(const server_process& server, int entries)
{
    return eventually([&] { return server.metric("sandboxd_store_remote_writes_total{result=\"done\"}") == entries; });
}

// Whether the server's store has nothing of that id, and nothing half done.
inline bool stores_nothing(const server_process& server, const std::string& id)
{
    for (const auto& one : std::filesystem::directory_iterator{server.working_dir() / "artifacts"}) {
        const auto name = one.path().filename().native();
        if (name == id || name.front() == '.') return false;
    }
    return true;
}

}  // namespace sandboxd::test
