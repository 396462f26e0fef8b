#include "artifacts/collect.hpp"

#include "support/files.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include <csignal>
#include <cstring>

using namespace sandboxd;
using namespace sandboxd::artifacts;
using namespace sandboxd::test;
using Catch::Matchers::ContainsSubstring;

namespace {

const collect_caps small{.max_files = 3, .max_bytes_each = 100, .max_bytes_total = 150};

std::string text_of(const collected& file)
{
    std::string text(file.bytes, '\0');
    const auto got = ::pread(file.file.get(), text.data(), text.size(), 0);
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
}

result<std::vector<collected>> pick_up(const temporary_directory& from, const std::vector<std::string>& names,
                                       const collect_caps& caps = {})
{
    return collect(open_directory(from.path()).get(), names, caps);
}

void check_rejected(const result<std::vector<collected>>& got, const std::string& name, const std::string& what)
{
    REQUIRE_FALSE(got);
    CHECK(got.error().code == errc::artifact_rejected);
    CHECK_THAT(got.error().message, ContainsSubstring("'" + name + "'") && ContainsSubstring(what));
}

}  // namespace

TEST_CASE("collect opens the wanted files in their order and leaves out what is not there")
{
    const temporary_directory out;
    write_file(out / "app.wasm", "wasm");
    write_file(out / "app.js", "js");
    write_file(out / "other", "not wanted");

    const auto got = pick_up(out, {"app.js", "app.data", "app.wasm"});
    REQUIRE(got);
    REQUIRE(got->size() == 2);
    CHECK((*got)[0].name == "app.js");
    CHECK((*got)[0].bytes == 2);
    CHECK(text_of((*got)[0]) == "js");
    CHECK(text_of((*got)[1]) == "wasm");
    CHECK((::fcntl((*got)[0].file.get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("collect refuses whatever is not a plain file, says what it is, and never waits for it")
{
    const temporary_directory out;
    const auto path = out / "app.js";
    std::string what;

    SECTION("a symbolic link to a host's file")
    {
        fs::create_symlink("/etc/passwd", path);
        what = "symbolic link";
    }
    SECTION("a symbolic link to a neighbour")
    {
        write_file(out / "neighbour", "x");
        fs::create_symlink("neighbour", path);
        what = "symbolic link";
    }
    SECTION("a symbolic link to nothing")
    {
        fs::create_symlink("nothing", path);
        what = "symbolic link";
    }
    SECTION("a FIFO")
    {
        REQUIRE(::mkfifo(path.c_str(), 0666) == 0);
        what = "FIFO";
    }
    SECTION("a socket")
    {
        const unique_fd listener{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
        REQUIRE(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
        what = "socket";
    }
    SECTION("a directory")
    {
        fs::create_directory(path);
        what = "directory";
    }
    SECTION("a hard link")
    {
        write_file(out / "original", "x");
        fs::create_hard_link(out / "original", path);
        what = "hard link";
    }
    SECTION("a sparse giant")
    {
        write_file(path, "");
        fs::resize_file(path, std::uint64_t{1} << 42);
        what = "too large";
    }
    SECTION("a character device")
    {
        if (::mknod(path.c_str(), S_IFCHR | 0666, ::makedev(1, 5)) != 0) SKIP("needs CAP_MKNOD");
        what = "character device";
    }
    check_rejected(pick_up(out, {"app.js"}), "app.js", what);
}

TEST_CASE("collect refuses a file that may not be read")
{
    const temporary_directory out;
    write_file(out / "app.js", "x");
    fs::permissions(out / "app.js", fs::perms::none);
    fs::permissions(out.path(), static_cast<fs::perms>(0755));
    const auto refuses = [&] {
        const auto got = pick_up(out, {"app.js"});
        return !got && got.error().code == errc::artifact_rejected &&
               got.error().message.find("may not be read") != std::string::npos;
    };
    if (is_root())
        CHECK(as_user(65534, refuses));
    else
        CHECK(refuses());
}

TEST_CASE("collect does not wait for whoever holds a lease")
{
    const temporary_directory out;
    write_file(out / "app.js", "x");
    // Breaking a lease sends its holder SIGIO, and waiting for it takes most of a minute.
    const auto before = ::signal(SIGIO, SIG_IGN);
    const unique_fd holder{::open((out / "app.js").c_str(), O_RDWR | O_CLOEXEC)};
    REQUIRE(::fcntl(holder.get(), F_SETLEASE, F_WRLCK) == 0);
    check_rejected(pick_up(out, {"app.js"}), "app.js", "lease");
    ::signal(SIGIO, before);
}

TEST_CASE("collect keeps to its caps")
{
    const temporary_directory out;
    write_file(out / "a", std::string(100, 'a'));
    write_file(out / "b", std::string(50, 'b'));
    write_file(out / "c", "");

    CHECK(pick_up(out, {"a", "b", "c"}, small));
    write_file(out / "b", std::string(51, 'b'));
    check_rejected(pick_up(out, {"a", "b", "c"}, small), "b", "150 bytes");
    write_file(out / "a", std::string(101, 'a'));
    check_rejected(pick_up(out, {"a"}, small), "a", "too large");
    check_rejected(pick_up(out, {"c", "c", "c", "c"}, small), "c", "3");
}

TEST_CASE("collect asks for plain names only")
{
    const temporary_directory out;
    for (const std::string name : {"../passwd", "/etc/passwd", "a/b", "", ".", "..", ".hidden"}) {
        INFO(name);
        const auto got = pick_up(out, {name});
        REQUIRE_FALSE(got);
        CHECK(got.error().code == errc::internal);
    }
}
