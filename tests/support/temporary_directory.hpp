// A directory that goes away with its object.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>

namespace sandboxd::test {

class temporary_directory {
public:
    temporary_directory()
    {
        std::string pattern = (std::filesystem::temp_directory_path() / "sandboxd-test-XXXXXX").native();
        if (!::mkdtemp(pattern.data())) throw std::runtime_error("mkdtemp failed");
        path_ = pattern;
        // Tests that become another user must get through.
        std::filesystem::permissions(path_, static_cast<std::filesystem::perms>(0711));
    }
    ~temporary_directory()
    {
        std::error_code ec;  // a test that made something irremovable has failed already
        std::filesystem::remove_all(path_, ec);
    }
    temporary_directory(const temporary_directory&) = delete;
    temporary_directory& operator=(const temporary_directory&) = delete;

    const std::filesystem::path& path() const { return path_; }
    std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

private:
    std::filesystem::path path_;
};

}  // namespace sandboxd::test
