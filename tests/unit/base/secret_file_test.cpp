#include "base/secret_file.hpp"

#include "support/files.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <sys/stat.h>

#include <string>

using namespace sandboxd;
using namespace sandboxd::test;

TEST_CASE("a secret is read from a file that others cannot read", "[base][secret]")
{
    const temporary_directory here;
    const auto file = here / "key";
    const auto written = [&](std::string_view text, mode_t mode) {
        fs::remove(file);
        write_file(file, text);
        REQUIRE(::chmod(file.c_str(), mode) == 0);
        return read_secret(file, 4);
    };
    for (const mode_t mode : {0400, 0600, 0440, 0640}) {
        CAPTURE(mode);
        CHECK(written("hunter2\n", mode).value() == "hunter2");
    }
    CHECK(written("hunter2\r\n", 0400).value() == "hunter2");
    CHECK(written("hunter2", 0400).value() == "hunter2");
    CHECK(written(std::string(4096, 'x'), 0400).has_value());
    for (const mode_t mode : {0404, 0402, 0401, 0644, 0620, 0666}) {
        CAPTURE(mode);
        const auto got = written("hunter2\n", mode);
        REQUIRE(got.has_error());
        CHECK(got.error().message.find("other users") != std::string::npos);
        CHECK(got.error().message.find("hunter2") == std::string::npos);
    }
    for (const auto& text : {std::string{}, std::string{"abc\n"}, std::string{"hunter2\nagain\n"},
                             std::string{"\n\n\n\n\n"}, std::string(4097, 'x')}) {
        CAPTURE(text.size());
        CHECK(written(text, 0400).has_error());
    }
    // As Kubernetes mounts it.
    CHECK(written("hunter2\n", 0400).has_value());
    fs::create_symlink("key", here / "link");
    CHECK(read_secret(here / "link", 4).value() == "hunter2");

    CHECK(read_secret(here / "none", 4).error().code == errc::io);
    CHECK(read_secret(here.path(), 4).has_error());
    REQUIRE(::mkfifo((here / "fifo").c_str(), 0400) == 0);
    CHECK(read_secret(here / "fifo", 4).error().message.find("not a plain file") != std::string::npos);
}
