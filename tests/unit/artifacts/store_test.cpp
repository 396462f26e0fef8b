#include "artifacts/store.hpp"

#include "artifacts/names.hpp"
#include "base/digest.hpp"
#include "disk/files.hpp"
#include "support/files.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <dlfcn.h>
#include <sys/resource.h>
#include <zlib.h>

#include <csignal>
#include <limits>

using namespace sandboxd;
using namespace sandboxd::artifacts;
using namespace sandboxd::test;
using Catch::Matchers::ContainsSubstring;

namespace asio = boost::asio;

namespace {

const std::string id_a = "0123456789abcdef0123456789abcdef";
const std::string id_b = "fedcba9876543210fedcba9876543210";

using file_list = std::vector<std::pair<std::string, std::string>>;

// Leaves this process no descriptor to open anything with.
class no_descriptors {
public:
    no_descriptors()
    {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        rlimit none = before_;
        none.rlim_cur = 0;
        ::setrlimit(RLIMIT_NOFILE, &none);
    }
    ~no_descriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
    no_descriptors(const no_descriptors&) = delete;
    no_descriptors& operator=(const no_descriptors&) = delete;

private:
    rlimit before_{};
};

// A store in a directory of its own, and what a job would have left for it.
struct house {
    explicit house(std::uint64_t cache_bytes = 8u << 20) : cache{cache_bytes} { reopen(); }

    void reopen()
    {
        shop = std::make_unique<store>(store_settings{
            .root = root(), .ttl = std::chrono::hours{72}, .memory_cache_bytes = cache, .max_total_bytes = most});
        REQUIRE(shop->open());
        run(context, shop->take_stock());
        context.restart();
    }

    fs::path root() const { return directory / "artifacts"; }
    fs::path entry_path(const std::string& id) const { return root() / id; }

    collected file(const std::string& name, std::string_view bytes)
    {
        const auto path = directory / ("job-" + name);
        write_file(path, bytes);
        collected picked{name, unique_fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)}, bytes.size()};
        fs::remove(path);
        return picked;
    }

    std::vector<collected> files(const file_list& from)
    {
        std::vector<collected> made;
        for (const auto& [name, bytes] : from) made.push_back(file(name, bytes));
        return made;
    }

    result<std::shared_ptr<const entry>> publish(const std::string& id, const file_list& from,
                                                 const std::string& record = "{}")
    {
        return run(context, shop->publish(id, files(from), record));
    }

    // Null when it is not there.
    std::shared_ptr<const content> open(std::string_view id, std::string_view name, bool gzip, bool brotli)
    {
        auto got = shop->open_content(id, name, gzip, brotli);
        if (!got && got.error().code == errc::not_found) return nullptr;
        REQUIRE(got);
        REQUIRE(*got);
        return *got;
    }

    // The whole of an artifact; nullopt when it is not there.
    std::optional<std::string> get(const std::string& id, const std::string& name, bool gzip = false,
                                   bool brotli = false)
    {
        const auto got = open(id, name, gzip, brotli);
        if (!got) return std::nullopt;
        return text_of(*got);
    }

    static std::string text_of(const content& got)
    {
        if (got.memory) return *got.memory;
        std::string text(got.bytes, '\0');
        const auto size = ::pread(got.file->get(), text.data(), text.size(), 0);
        text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
        return text;
    }

    void set_age(const std::string& id, std::chrono::seconds age)
    {
        const auto then = std::chrono::system_clock::now() - age;
        const timespec time{std::chrono::system_clock::to_time_t(then), 0};
        const timespec times[2] = {time, time};
        REQUIRE(::utimensat(AT_FDCWD, entry_path(id).c_str(), times, 0) == 0);
    }

    std::chrono::seconds age(const std::string& id) const
    {
        struct stat status{};
        REQUIRE(::stat(entry_path(id).c_str(), &status) == 0);
        return std::chrono::seconds{std::time(nullptr) - status.st_mtime};
    }

    // What is on disk, counted by other means.
    usage count() const
    {
        usage found;
        for (const auto& item : fs::directory_iterator{root()}) {
            if (!is_id(item.path().filename().native())) continue;
            ++found.entries;
            for (const auto& file : fs::directory_iterator{item.path()}) {
                ++found.files;
                found.bytes += file.file_size();
            }
        }
        return found;
    }

    void check_stock()
    {
        const auto real = count();
        CHECK(shop->stock().entries == real.entries);
        CHECK(shop->stock().files == real.files);
        CHECK(shop->stock().bytes == real.bytes);
    }

    temporary_directory directory;
    std::uint64_t cache;
    std::uint64_t most{0};  // max_total_bytes, at the next reopen
    asio::io_context context;
    std::unique_ptr<store> shop;
};

// Compresses well, and no two parts of it are alike.
std::string prose(std::size_t bytes)
{
    std::string text;
    for (std::size_t i = 0; text.size() < bytes; ++i)
        text += "function number_" + std::to_string(i * 7919) + "() { return memory[" + std::to_string(i) + "]; }\n";
    text.resize(bytes);
    return text;
}

std::string noise(std::size_t bytes)
{
    std::string text;
    std::uint64_t state = 88172645463325252u;
    while (text.size() < bytes) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text += static_cast<char>(state & 0xff);
    }
    return text;
}

std::string gunzip(const std::string& bytes, std::size_t most)
{
    z_stream stream{};
    if (inflateInit2(&stream, 15 + 16) != Z_OK) return {};
    std::string in = bytes;
    std::string text(most, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(in.data());
    stream.avail_in = static_cast<uInt>(in.size());
    stream.next_out = reinterpret_cast<Bytef*>(text.data());
    stream.avail_out = static_cast<uInt>(text.size());
    const int status = ::inflate(&stream, Z_FINISH);
    text.resize(stream.total_out);
    ::inflateEnd(&stream);
    return status == Z_STREAM_END ? text : std::string{};
}

// The decoder comes in one package with the encoder, but we need it nowhere else, so it is not
// linked.
std::string unbrotli(const std::string& bytes, std::size_t most)
{
    using decompress = int (*)(std::size_t, const std::uint8_t*, std::size_t*, std::uint8_t*);
    void* library = ::dlopen("libbrotlidec.so.1", RTLD_NOW);
    if (!library) return "libbrotlidec.so.1 is missing";
    const auto decode = reinterpret_cast<decompress>(::dlsym(library, "BrotliDecoderDecompress"));
    std::string text(most, '\0');
    std::size_t size = most;
    if (decode(bytes.size(), reinterpret_cast<const std::uint8_t*>(bytes.data()), &size,
               reinterpret_cast<std::uint8_t*>(text.data())) != 1)
        size = 0;
    text.resize(size);
    ::dlclose(library);
    return text;
}

// Comes to the middle of publishing id_b; the loop does the rest.
void begin_publishing(house& h, asio::io_context& loop)
{
    auto files = h.files({{"app.js", prose(4u << 20)}});
    asio::co_spawn(loop, h.shop->publish(id_b, std::move(files), "{}"),
                   [](std::exception_ptr, result<std::shared_ptr<const entry>> r) { CHECK(r); });
    for (int i = 0; i < 4; ++i) REQUIRE(loop.run_one() == 1);
}

}  // namespace

TEST_CASE("what was published is found, whole, and survives a restart")
{
    house h;
    CHECK(h.shop->find(id_a) == nullptr);
    const auto published =
        h.publish(id_a, {{"app.js", "the js"}, {"app.wasm", std::string{"\0asm", 4}}}, R"({"ok":true,"log":"ünï"})");
    REQUIRE(published);
    for (int round = 0; round < 2; ++round) {
        INFO("round " << round);
        const auto found = h.shop->find(id_a);
        REQUIRE(found);
        CHECK(found->id == id_a);
        CHECK(found->record == R"({"ok":true,"log":"ünï"})");
        REQUIRE(found->files.size() == 2);
        CHECK(found->files[0].name == "app.js");
        CHECK(found->files[0].bytes == 6);
        CHECK(found->files[0].sha256 == to_hex(sha256_of("the js")));
        CHECK(h.get(id_a, "app.js") == "the js");
        CHECK(h.get(id_a, "app.wasm") == std::string{"\0asm", 4});
        CHECK(h.get(id_a, "app.data") == std::nullopt);
        CHECK(h.get(id_b, "app.js") == std::nullopt);
        h.check_stock();
        h.reopen();
    }
    CHECK(names_in(h.root()) == std::vector<std::string>{id_a});
    struct stat status{};
    REQUIRE(::stat((h.entry_path(id_a) / "app.js").c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0400);
}

TEST_CASE("a compile that failed is an entry without files")
{
    house h;
    REQUIRE(h.publish(id_a, {}, R"({"ok":false})"));
    h.reopen();
    const auto found = h.shop->find(id_a);
    REQUIRE(found);
    CHECK(found->files.empty());
    CHECK(found->record == R"({"ok":false})");
    run(h.context, h.shop->compress(id_a));
    CHECK(h.shop->remove(id_a));
    CHECK(h.shop->stock().entries == 0);
}

TEST_CASE("contents carry what an answer needs")
{
    house h;
    const std::string script = prose(5000);
    REQUIRE(h.publish(id_a, {{"app.js", script}, {"app.wasm", "w"}, {"app.data", ""}}));
    run(h.context, h.shop->compress(id_a));
    const auto plain = h.open(id_a, "app.js", false, false);
    REQUIRE(plain);
    CHECK(plain->bytes == 5000);
    CHECK(plain->etag == "\"" + to_hex(sha256_of(script)).substr(0, 32) + "\"");
    CHECK(plain->media_type == "text/javascript; charset=utf-8");
    CHECK(plain->coding == encoding::identity);
    CHECK(h.open(id_a, "app.wasm", false, false)->media_type == "application/wasm");
    CHECK(h.open(id_a, "app.data", false, false)->bytes == 0);
    CHECK(media_type_of("app.wasm.map") == "application/json");
    CHECK(media_type_of("app.html") == "text/html; charset=utf-8");
    CHECK(media_type_of("app") == "application/octet-stream");

    const auto gzip = h.open(id_a, "app.js", true, false);
    const auto brotli = h.open(id_a, "app.js", true, true);
    CHECK(gzip->coding == encoding::gzip);
    CHECK(brotli->coding == encoding::brotli);
    CHECK(gzip->media_type == plain->media_type);
    CHECK(gzip->etag != plain->etag);
    CHECK(brotli->etag != plain->etag);
    CHECK(brotli->etag != gzip->etag);
    // The same object every time: nothing is read or allocated again.
    CHECK(h.open(id_a, "app.js", true, true) == brotli);
}

TEST_CASE("a file without a name becomes an artifact, and leaves nothing where it does not")
{
    house h;
    auto blank = h.shop->blank_file();
    REQUIRE(blank.has_value());
    REQUIRE(disk::write_all(blank->get(), "hello"));
    CHECK(names_in(h.root()).empty());
    std::vector<collected> files;
    files.push_back({"app.js", std::move(*blank), 5});
    const auto made = run(h.context, h.shop->publish(id_a, std::move(files), "{}"));
    REQUIRE(made.has_value());
    CHECK(read_file(h.entry_path(id_a) / "app.js") == "hello");
    {
        const auto other = h.shop->blank_file();
        REQUIRE(other.has_value());
    }
    CHECK(names_in(h.root()) == std::vector<std::string>{id_a});

    const no_descriptors none;
    CHECK(h.shop->blank_file().error().code == errc::io);
}

TEST_CASE("publish refuses what is not an entry")
{
    house h;
    const auto refused = [&](const std::string& id, const file_list& files) {
        const auto got = h.publish(id, files);
        return !got && got.error().code == errc::internal;
    };
    CHECK(refused("", {}));
    CHECK(refused("../../etc/passwd", {}));
    CHECK(refused("0123456789ABCDEF0123456789abcdef", {}));
    CHECK(refused(id_a + "0", {}));
    for (const std::string name : {".entry.json", ".record", "..", "-x", ".app.js.gz"}) {
        INFO(name);
        std::vector<collected> files = h.files({{"x", "x"}});
        files[0].name = name;
        const auto got = run(h.context, h.shop->publish(id_a, std::move(files), ""));
        REQUIRE_FALSE(got);
        CHECK(got.error().code == errc::internal);
    }
    CHECK(refused(id_a, {{"a", "1"}, {"a", "2"}}));
    CHECK(names_in(h.root()).empty());
    CHECK(is_plain_name("app.js.gz"));
    CHECK_FALSE(is_plain_name(std::string(201, 'a')));
    CHECK_FALSE(is_plain_name("a/b"));
    CHECK_FALSE(is_plain_name(std::string_view{"a\0b", 3}));
}

TEST_CASE("a file that changes while it is read is refused, and nothing remains")
{
    house h;
    auto files = h.files({{"app.js", "12345"}});
    files[0].bytes = GENERATE(4u, 6u, 0u);
    const auto got = run(h.context, h.shop->publish(id_a, std::move(files), "{}"));
    REQUIRE_FALSE(got);
    CHECK(got.error().code == errc::artifact_rejected);
    CHECK(names_in(h.root()).empty());
    h.check_stock();
}

TEST_CASE("an entry is replaced as a whole, and its readers go on")
{
    house h{GENERATE(std::uint64_t{8} << 20, std::uint64_t{0})};
    REQUIRE(h.publish(id_a, {{"app.js", "old"}, {"gone.js", "old"}}, "old record"));
    const auto reading = h.open(id_a, "app.js", false, false);
    REQUIRE(reading);
    const auto before = h.shop->find(id_a);
    REQUIRE(h.publish(id_a, {{"app.js", "new!"}}, "new record"));
    CHECK(house::text_of(*reading) == "old");
    CHECK(before->record == "old record");
    CHECK(h.get(id_a, "app.js") == "new!");
    CHECK(h.get(id_a, "gone.js") == std::nullopt);
    CHECK(h.shop->find(id_a)->record == "new record");
    h.check_stock();
    CHECK(names_in(h.root()) == std::vector<std::string>{id_a});

    const auto last = h.open(id_a, "app.js", false, false);
    CHECK(h.shop->remove(id_a));
    CHECK_FALSE(h.shop->remove(id_a));
    CHECK(house::text_of(*last) == "new!");
    CHECK(h.get(id_a, "app.js") == std::nullopt);
    CHECK(h.shop->find(id_a) == nullptr);
    h.check_stock();
}

TEST_CASE("two publications of one id at the same time leave one of them")
{
    house h;
    int done = 0;
    for (const auto* text : {"one", "two"}) {
        auto files = h.files({{"app.js", prose(3'000'000) + text}});
        asio::co_spawn(h.context, h.shop->publish(id_a, std::move(files), text),
                       [&](std::exception_ptr e, result<std::shared_ptr<const entry>> got) {
                           CHECK_FALSE(e);
                           CHECK(got);
                           ++done;
                       });
    }
    h.context.run();
    CHECK(done == 2);
    const auto found = h.shop->find(id_a);
    REQUIRE(found);
    CHECK((h.get(id_a, "app.js") == prose(3'000'000) + found->record));
    CHECK(names_in(h.root()) == std::vector<std::string>{id_a});
    h.check_stock();
}

TEST_CASE("a damaged entry is removed and treated as absent")
{
    house h;
    REQUIRE(h.publish(id_a, {{"app.js", "12345"}, {"app.wasm", "wasm"}}, "{}"));
    REQUIRE(h.publish(id_b, {{"app.js", "other"}}, "{}"));
    const auto path = h.entry_path(id_a);
    const auto rewrite = [&](const std::string& name, std::string_view bytes) {
        fs::remove(path / name);
        write_file(path / name, bytes);
    };
    const auto manifest = read_file(path / ".entry.json");
    bool found_first = false;

    SECTION("other bytes of the same size")
    {
        rewrite("app.js", "12354");
        found_first = true;
    }
    SECTION("a file that was cut off") { rewrite("app.js", "123"); }
    SECTION("a file that is gone") { fs::remove(path / "app.js"); }
    SECTION("a link where a file was")
    {
        write_file(h.directory / "secret", "12345");
        fs::remove(path / "app.js");
        fs::create_symlink(h.directory / "secret", path / "app.js");
    }
    SECTION("a FIFO where a file was")
    {
        fs::remove(path / "app.js");
        REQUIRE(::mkfifo((path / "app.js").c_str(), 0666) == 0);
    }
    SECTION("a link where the entry was")
    {
        fs::rename(path, h.directory / "moved");
        fs::create_directory_symlink(h.directory / "moved", path);
    }
    SECTION("a file where the entry was")
    {
        fs::rename(path, h.directory / "moved");
        write_file(path, "");
    }
    SECTION("no manifest") { fs::remove(path / ".entry.json"); }
    SECTION("an empty manifest") { rewrite(".entry.json", ""); }
    SECTION("half a manifest") { rewrite(".entry.json", manifest.substr(0, manifest.size() / 2)); }
    SECTION("zeroes") { rewrite(".entry.json", std::string(manifest.size(), '\0')); }
    SECTION("a huge manifest") { rewrite(".entry.json", manifest + std::string(2u << 20, ' ')); }
    SECTION("a manifest that is a link")
    {
        fs::rename(path / ".entry.json", path / "moved");
        fs::create_symlink("moved", path / ".entry.json");
    }
    SECTION("no record") { fs::remove(path / ".record"); }
    SECTION("another record") { rewrite(".record", "[]"); }

    h.reopen();
    CHECK((h.shop->find(id_a) != nullptr) == found_first);
    CHECK(h.get(id_a, "app.js") == std::nullopt);
    CHECK(h.shop->find(id_a) == nullptr);
    CHECK(names_in(h.root()) == std::vector<std::string>{id_b});
    CHECK(h.get(id_b, "app.js") == "other");
    REQUIRE(h.publish(id_a, {{"app.js", "again"}}));
    CHECK(h.get(id_a, "app.js") == "again");
}

TEST_CASE("a manifest is read as untrusted input")
{
    house h;
    const std::string digest(64, 'a');
    const std::string record = R"("record":{"bytes":2,"sha256":")" + to_hex(sha256_of("{}")) + R"("})";
    const auto file = [&](const std::string& name, const std::string& bytes, const std::string& sha) {
        return R"({"name":")" + name + R"(","bytes":)" + bytes + R"(,"sha256":")" + sha + R"("})";
    };
    const auto with = [&](const std::string& files) {
        return R"({"version":1,)" + record + R"(,"files":[)" + files + "]}";
    };
    const auto text = GENERATE_COPY(
        std::string{"[]"}, std::string{"null"}, R"({"version":1,"files":[]})", "{" + record + R"(,"files":[]})",
        R"({"version":2,)" + record + R"(,"files":[]})", R"({"version":1,)" + record + R"(,"files":{}})", with("1"),
        with(file("../../secret", "1", digest)), with(file("/etc/passwd", "1", digest)),
        with(file(".record", "2", digest)), with(file("app.js", "-1", digest)), with(file("app.js", "1e300", digest)),
        with(file("app.js", "\"5\"", digest)), with(file("app.js", "5", "short")),
        with(file("app.js", "99999999999999999999", digest)),
        with(file("app.js", "5", digest) + "," + file("app.js", "5", digest)), with(R"({"name":"app.js"})"),
        with(std::string(40, '[') + std::string(40, ']')));
    INFO(text);
    REQUIRE(h.publish(id_a, {{"app.js", "12345"}}, "{}"));
    fs::remove(h.entry_path(id_a) / ".entry.json");
    write_file(h.entry_path(id_a) / ".entry.json", text);
    write_file(h.directory / "secret", "1");
    h.reopen();
    CHECK(h.shop->find(id_a) == nullptr);
    CHECK(names_in(h.root()).empty());
    CHECK(read_file(h.directory / "secret") == "1");
}

TEST_CASE("ids and names from a request never leave the store")
{
    house h;
    REQUIRE(h.publish(id_a, {{"app.js", "x"}}));
    fs::create_directories(h.directory / "outside");
    write_file(h.directory / "outside/app.js", "secret");
    for (const std::string_view id : {std::string_view{"../outside"}, std::string_view{"."}, std::string_view{""},
                                      std::string_view{"0123456789abcdef0123456789abcde\0", 32},
                                      std::string_view{"0123456789abcdef0123456789abcde/"}}) {
        CHECK(h.open(id, "app.js", true, true) == nullptr);
        CHECK(h.shop->find(id) == nullptr);
        CHECK_FALSE(h.shop->remove(id));
    }
    for (const auto* name : {"../../outside/app.js", ".entry.json", ".record", "", "app.js/", "."})
        CHECK(h.open(id_a, name, true, true) == nullptr);
}

TEST_CASE("compressed forms hold the same bytes, where they are smaller")
{
    house h;
    const std::string script = prose(200'000);
    REQUIRE(h.publish(id_a, {{"app.js", script}, {"noise.data", noise(100'000)}, {"tiny.js", "x"}}));
    run(h.context, h.shop->compress(id_a));
    h.check_stock();
    CHECK(names_in(h.entry_path(id_a)) == std::vector<std::string>{".app.js.br", ".app.js.gz", ".entry.json", ".record",
                                                                   "app.js", "noise.data", "tiny.js"});
    for (int round = 0; round < 2; ++round) {
        INFO("round " << round);
        const auto gzip = h.open(id_a, "app.js", true, false);
        REQUIRE(gzip);
        CHECK(gzip->coding == encoding::gzip);
        CHECK((gunzip(house::text_of(*gzip), script.size() + 1) == script));
        const auto brotli = h.open(id_a, "app.js", false, true);
        REQUIRE(brotli);
        CHECK(brotli->coding == encoding::brotli);
        CHECK(brotli->bytes < script.size() / 3);
        CHECK((unbrotli(house::text_of(*brotli), script.size() + 1) == script));
        CHECK((h.get(id_a, "app.js") == script));
        CHECK(h.open(id_a, "noise.data", true, true)->coding == encoding::identity);
        CHECK(h.open(id_a, "tiny.js", true, true)->coding == encoding::identity);
        h.reopen();
        h.check_stock();
    }

    SECTION("a damaged form is left out, and made again")
    {
        fs::remove(h.entry_path(id_a) / ".app.js.br");
        fs::resize_file(h.entry_path(id_a) / ".app.js.gz", 10);
        h.reopen();
        CHECK(h.open(id_a, "app.js", true, true)->coding == encoding::identity);
        run(h.context, h.shop->compress(id_a));
        CHECK(h.open(id_a, "app.js", true, true)->coding == encoding::brotli);
        h.check_stock();
    }
    SECTION("a form with other bytes of the same size is noticed")
    {
        const auto path = h.entry_path(id_a) / ".app.js.gz";
        auto bytes = read_file(path);
        bytes[bytes.size() / 2] ^= 1;
        fs::remove(path);
        write_file(path, bytes);
        CHECK(h.open(id_a, "app.js", true, false)->coding == encoding::identity);
    }
    SECTION("nothing is done twice, nor for what is gone")
    {
        const auto before = fs::last_write_time(h.entry_path(id_a) / ".app.js.br");
        run(h.context, h.shop->compress(id_a));
        CHECK(fs::last_write_time(h.entry_path(id_a) / ".app.js.br") == before);
        run(h.context, h.shop->compress(id_b));
        run(h.context, h.shop->compress("nonsense"));
        h.check_stock();
    }
}

TEST_CASE("an entry may go or change while it is being compressed")
{
    house h;
    REQUIRE(h.publish(id_a, {{"app.js", prose(500'000)}}));
    h.context.restart();
    asio::co_spawn(h.context, h.shop->compress(id_a), [](std::exception_ptr e) { CHECK_FALSE(e); });
    for (int i = 0; i < 5; ++i) REQUIRE(h.context.run_one() == 1);
    REQUIRE(names_in(h.entry_path(id_a)).size() == 4);
    const auto spoil = [&] {
        const auto path = h.entry_path(id_a) / "app.js";
        fs::permissions(path, static_cast<fs::perms>(0644));
        {
            std::fstream file{path, std::ios::in | std::ios::out | std::ios::binary};
            file.seekp(450'000);
            file.put('\0');
        }
    };

    SECTION("removed")
    {
        CHECK(h.shop->remove(id_a));
        h.context.run();
        CHECK(names_in(h.root()).empty());
    }
    SECTION("replaced")
    {
        const std::string other = prose(400'000) + "other";
        auto files = h.files({{"app.js", other}});
        asio::co_spawn(h.context, h.shop->publish(id_a, std::move(files), "{}"),
                       [](std::exception_ptr, result<std::shared_ptr<const entry>> r) { CHECK(r); });
        h.context.run();
        h.context.restart();
        run(h.context, h.shop->compress(id_a));
        CHECK((gunzip(*h.get(id_a, "app.js", true), 1'000'000) == other));
        CHECK((h.get(id_a, "app.js") == other));
    }
    SECTION("changed on disk, and replaced")
    {
        spoil();
        auto files = h.files({{"app.js", "new"}});
        asio::co_spawn(h.context, h.shop->publish(id_a, std::move(files), "{}"),
                       [](std::exception_ptr, result<std::shared_ptr<const entry>> r) { CHECK(r); });
        h.context.run();
        CHECK(h.get(id_a, "app.js") == "new");
    }
    SECTION("asked for twice")
    {
        asio::co_spawn(h.context, h.shop->compress(id_a), [](std::exception_ptr e) { CHECK_FALSE(e); });
        for (int i = 0; i < 4; ++i) REQUIRE(h.context.run_one() == 1);
        // One temporary file: nobody does the same beside it.
        CHECK(names_in(h.entry_path(id_a)).size() == 4);
        run(h.context, h.shop->compress(id_a));
        CHECK(names_in(h.entry_path(id_a)).size() == 5);
    }
    SECTION("changed on disk")
    {
        spoil();
        h.context.run();
        CHECK(names_in(h.root()).empty());
    }
    h.check_stock();
}

TEST_CASE("long work is done in turns")
{
    house h;
    auto files = h.files({{"app.js", prose(8u << 20)}});
    asio::co_spawn(h.context, h.shop->publish(id_a, std::move(files), "{}"),
                   [](std::exception_ptr, result<std::shared_ptr<const entry>> r) { CHECK(r); });
    // Every turn is a handler of its own: at most 1 MiB of copying, 64 KiB of compressing.
    CHECK(h.context.run() >= 8);
    h.context.restart();
    asio::co_spawn(h.context, h.shop->compress(id_a), [](std::exception_ptr e) { CHECK_FALSE(e); });
    CHECK(h.context.run() >= 256);
}

TEST_CASE("work that is cancelled leaves nothing behind")
{
    house h;
    REQUIRE(h.publish(id_b, {{"app.js", prose(500'000)}}));
    asio::cancellation_signal stop;
    bool threw = false;
    bool compressing = false;
    SECTION("a publication")
    {
        auto files = h.files({{"app.js", prose(4u << 20)}});
        asio::co_spawn(
            h.context, h.shop->publish(id_a, std::move(files), "{}"),
            asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr e, result<std::shared_ptr<const entry>>) {
                threw = e != nullptr;
            }));
    }
    SECTION("a compression")
    {
        compressing = true;
        asio::co_spawn(h.context, h.shop->compress(id_b),
                       asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr e) { threw = e != nullptr; }));
    }
    h.context.restart();
    for (int i = 0; i < 4; ++i) REQUIRE(h.context.run_one() == 1);
    stop.emit(asio::cancellation_type::terminal);
    h.context.run();
    CHECK(threw);
    CHECK(names_in(h.root()) == std::vector<std::string>{id_b});
    CHECK(names_in(h.entry_path(id_b)).size() == 3);
    h.check_stock();
    if (compressing) {
        run(h.context, h.shop->compress(id_b));
        CHECK(h.open(id_b, "app.js", true, false)->coding == encoding::gzip);
    }
}

TEST_CASE("work that is destroyed with its loop leaves nothing behind")
{
    house h;
    {
        asio::io_context other;
        auto files = h.files({{"app.js", prose(4u << 20)}});
        asio::co_spawn(other, h.shop->publish(id_a, std::move(files), "{}"),
                       [](std::exception_ptr, result<std::shared_ptr<const entry>>) {});
        for (int i = 0; i < 4; ++i) REQUIRE(other.run_one() == 1);
        CHECK(names_in(h.root()).size() == 1);
    }
    CHECK(names_in(h.root()).empty());
}

TEST_CASE("a disk that takes no more is an error that says so, and the old entry stays")
{
    house h;
    REQUIRE(h.publish(id_a, {{"app.js", "old"}}));
    // A limit on file sizes behaves as a full disk does, and needs no disk.
    ::signal(SIGXFSZ, SIG_IGN);
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
    auto files = h.files({{"app.js", prose(100'000)}});
    const rlimit tight{4096, before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &tight) == 0);
    const auto refused = run(h.context, h.shop->publish(id_a, std::move(files), "{}"));
    const auto record = run(h.context, h.shop->publish(id_b, {}, std::string(5000, 'x')));
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::io);
    CHECK_THAT(refused.error().message, ContainsSubstring("app.js") && ContainsSubstring("File too large") &&
                                            ContainsSubstring(h.root().native()));
    REQUIRE_FALSE(record);
    CHECK(record.error().code == errc::io);
    CHECK(names_in(h.root()) == std::vector<std::string>{id_a});
    CHECK(h.get(id_a, "app.js") == "old");
    h.check_stock();
}

TEST_CASE("a compression that the disk does not take leaves the entry as it was")
{
    house h;
    REQUIRE(h.publish(id_a, {{"app.js", prose(500'000)}}));
    ::signal(SIGXFSZ, SIG_IGN);
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
    const rlimit tight{4096, before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &tight) == 0);
    run(h.context, h.shop->compress(id_a));
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
    CHECK(names_in(h.entry_path(id_a)).size() == 3);
    CHECK(h.open(id_a, "app.js", true, true)->coding == encoding::identity);
    h.check_stock();
}

TEST_CASE("open says what is wrong with a root")
{
    const temporary_directory directory;
    write_file(directory / "file", "");
    store below_file{{directory / "file" / "artifacts"}};
    const auto refused = below_file.open();
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::io);
    CHECK_THAT(refused.error().message, ContainsSubstring((directory / "file").native()));
    store in_file{{directory / "file"}};
    CHECK(in_file.open().error().code == errc::io);

    fs::create_directory(directory / "foreign");
    fs::permissions(directory / "foreign", static_cast<fs::perms>(0555));
    const auto says_so = [&] {
        store shop{{directory / "foreign"}};
        const auto got = shop.open();
        return !got && got.error().message.find("artifactsDir") != std::string::npos;
    };
    if (is_root())
        CHECK(as_user(65534, says_so));
    else
        CHECK(says_so());
}

TEST_CASE("what a killed server left half done is removed at the start, and only that")
{
    house h;
    REQUIRE(h.publish(id_a, {{"app.js", "x"}}));
    fs::create_directories(h.root() / ".new-0123456789abcdef/deep/er");
    fs::create_directories(h.root() / ".old-0123456789abcdef");
    write_file(h.root() / ".old-0123456789abcdef/app.js", "x");
    write_file(h.entry_path(id_a) / ".tmp-0123456789abcdef", "x");
    fs::create_directory(h.root() / "lost+found");
    h.reopen();
    CHECK(names_in(h.root()) == std::vector<std::string>{id_a, "lost+found"});
    CHECK(names_in(h.entry_path(id_a)).size() == 3);
    CHECK(h.shop->stock().entries == 1);
    CHECK(h.shop->stock().files == 3);

    // Another server on the same root that is in the middle of something keeps it.
    asio::io_context other;
    begin_publishing(h, other);
    {
        store second{{h.root()}};
        CHECK(second.open());
        run(h.context, second.take_stock());
    }
    other.run();
    CHECK((h.get(id_b, "app.js") == prose(4u << 20)));
}

TEST_CASE("what a failed removal left is swept, unless somebody is at work in it")
{
    house h;
    const auto now = std::chrono::system_clock::now();
    const auto later = now + std::chrono::minutes{2};
    REQUIRE(h.publish(id_a, {{"app.js", "x"}}));
    fs::create_directories(h.root() / ".new-0123456789abcdef/deep/er");
    fs::create_directories(h.root() / ".old-0123456789abcdef");
    write_file(h.root() / ".old-0123456789abcdef/app.js", "x");

    // It could be a moment old, and not locked yet.
    CHECK(run(h.context, h.shop->sweep(now)) == 0);
    CHECK(names_in(h.root()).size() == 3);

    asio::io_context other;
    begin_publishing(h, other);
    CHECK(run(h.context, h.shop->sweep(later)) == 0);
    CHECK(names_in(h.root()).size() == 2);
    other.run();
    CHECK((h.get(id_b, "app.js") == prose(4u << 20)));

    // With a ttl of 0, too.
    store keeper{{h.root(), std::chrono::hours{0}}};
    REQUIRE(keeper.open());
    fs::create_directories(h.root() / ".new-0123456789abcdef");
    CHECK(run(h.context, keeper.sweep(later)) == 0);
    CHECK(names_in(h.root()) == std::vector<std::string>{id_a, id_b});
    h.check_stock();
}

TEST_CASE("what cannot be read just now is not called absent")
{
    house h{0};
    REQUIRE(h.publish(id_a, {{"app.js", "some text"}}));
    for (const bool known : {true, false}) {
        if (!known) h.reopen();
        {
            const no_descriptors none;
            const auto got = h.shop->open_content(id_a, "app.js", true, true);
            REQUIRE(!got);
            CHECK(got.error().code == errc::io);
            CHECK_THAT(got.error().message, ContainsSubstring("Too many open files"));
            const auto other = h.shop->open_content(id_b, "app.js", true, true);
            REQUIRE(!other);
            CHECK(other.error().code == errc::io);
        }
        CHECK(h.get(id_a, "app.js") == "some text");
        const auto other = h.shop->open_content(id_b, "app.js", true, true);
        REQUIRE(!other);
        CHECK(other.error().code == errc::not_found);
    }
}

TEST_CASE("the sweeper removes what is older than the ttl, and a hit makes young")
{
    house h;
    const auto now = std::chrono::system_clock::now();
    for (const auto& id : {id_a, id_b}) REQUIRE(h.publish(id, {{"app.js", id}}));
    const auto sweep = [&] { return run(h.context, h.shop->sweep(now)); };
    CHECK(sweep() == 0);
    h.set_age(id_a, std::chrono::hours{71});
    CHECK(sweep() == 0);
    h.set_age(id_a, std::chrono::hours{73});
    const auto reading = h.open(id_a, "app.js", false, false);

    SECTION("swept")
    {
        h.set_age(id_a, std::chrono::hours{73});
        CHECK(sweep() == 1);
        CHECK(names_in(h.root()) == std::vector<std::string>{id_b});
        CHECK(h.shop->find(id_a) == nullptr);
        CHECK(h.get(id_a, "app.js") == std::nullopt);
        CHECK(house::text_of(*reading) == id_a);
        h.check_stock();
    }
    SECTION("renewed by find")
    {
        CHECK(h.shop->find(id_a));
        CHECK(h.age(id_a) < std::chrono::hours{1});
        CHECK(sweep() == 0);
    }
    SECTION("renewed by being read after a restart")
    {
        h.reopen();
        CHECK(h.get(id_a, "app.js") == id_a);
        CHECK(sweep() == 0);
    }
    SECTION("not renewed within a minute")
    {
        h.set_age(id_a, std::chrono::seconds{30});
        CHECK(h.shop->find(id_a));
        CHECK(h.age(id_a) >= std::chrono::seconds{30});
    }
    SECTION("never, with a ttl of 0")
    {
        h.set_age(id_a, std::chrono::hours{100'000});
        store keeper{{h.root(), std::chrono::hours{0}}};
        REQUIRE(keeper.open());
        run(h.context, keeper.take_stock());
        CHECK(run(h.context, keeper.sweep(now)) == 0);
        CHECK(keeper.stock().entries == 2);
    }
    SECTION("what is not an entry stays")
    {
        fs::create_directory(h.root() / "lost+found");
        const auto later = now + std::chrono::hours{1000};
        CHECK(run(h.context, h.shop->sweep(later)) == 2);
        CHECK(names_in(h.root()) == std::vector<std::string>{"lost+found"});
        h.check_stock();
    }
}

TEST_CASE("counting and sweeping many entries go in turns")
{
    house h;
    constexpr std::size_t entries = 200;
    for (unsigned i = 0; i < entries; ++i) {
        std::string id = std::to_string(i);
        id.insert(0, 32 - id.size(), '0');
        REQUIRE(h.publish(id, {}));
    }
    // Each look at the clock takes 200 µs: a turn is over at the 10th entry.
    async::turns::clock::time_point slow;
    store_settings how;
    how.root = h.root();
    how.turn_clock = [&slow] { return slow += std::chrono::microseconds{200}; };
    store other{how};
    REQUIRE(other.open());
    asio::co_spawn(h.context, other.take_stock(), [](std::exception_ptr e) { CHECK_FALSE(e); });
    h.context.restart();
    CHECK(h.context.run() >= entries / 10);
    CHECK(other.stock().entries == entries);

    const auto later = std::chrono::system_clock::now() + std::chrono::hours{1000};
    std::size_t removed = 0;
    asio::co_spawn(h.context, other.sweep(later), [&](std::exception_ptr, std::size_t n) { removed = n; });
    h.context.restart();
    CHECK(h.context.run() >= entries / 10);
    CHECK(removed == entries);
    CHECK(other.stock().entries == 0);
    CHECK(other.stock().bytes == 0);
    CHECK(other.stock().disk_bytes == 0);
}

TEST_CASE("what comes, goes and changes while the stock is taken is counted once")
{
    house h;
    for (const auto& id : {id_a, id_b}) REQUIRE(h.publish(id, {{"app.js", prose(10'000)}}));
    const std::string id_c(32, 'c');
    h.shop = std::make_unique<store>(store_settings{.root = h.root()});
    REQUIRE(h.shop->open());
    // Nothing is counted yet.
    REQUIRE(h.publish(id_a, {{"app.js", prose(20'000)}}));
    REQUIRE(h.publish(id_c, {{"app.js", "new"}}));
    run(h.context, h.shop->compress(id_c));
    CHECK(h.shop->remove(id_b));
    run(h.context, h.shop->take_stock());
    h.check_stock();
}

TEST_CASE("the store stays within its bound: what was used longest ago goes, and nothing that is being read")
{
    // An entry of 100 000 bytes takes 25 blocks of 4 KiB, and its directory, manifest and record one each.
    constexpr std::uint64_t each = 28 * 4096;
    house h{GENERATE(std::uint64_t{0}, std::uint64_t{8} << 20)};
    h.most = 3 * each;
    h.reopen();
    const auto id_of = [](char c) { return std::string(32, c); };
    const auto bytes = std::string(100'000, 'x');
    const auto put = [&](char c) { return h.publish(id_of(c), {{"app.js", bytes}}); };
    const auto there = [&] { return names_in(h.root()); };
    for (const char c : {'a', 'b', 'c'}) REQUIRE(put(c));
    CHECK(h.shop->stock().disk_bytes == 3 * each);
    CHECK(h.shop->evicted() == 0);

    SECTION("in the order of use, not of age")
    {
        CHECK(h.get(id_of('a'), "app.js") == bytes);
        REQUIRE(put('d'));
        CHECK(there() == std::vector{id_of('a'), id_of('c'), id_of('d')});
        CHECK(h.shop->find(id_of('c')));
        REQUIRE(put('e'));
        CHECK(there() == std::vector{id_of('c'), id_of('d'), id_of('e')});
        CHECK(h.shop->evicted() == 2);
        CHECK(h.shop->stock().disk_bytes == 3 * each);
        CHECK(h.get(id_of('a'), "app.js") == std::nullopt);
    }
    SECTION("not what is being read")
    {
        auto first = h.open(id_of('a'), "app.js", false, false);
        auto second = h.open(id_of('b'), "app.js", false, false);
        REQUIRE(put('d'));
        CHECK(there() == std::vector{id_of('a'), id_of('b'), id_of('d')});
        auto third = h.open(id_of('d'), "app.js", false, false);
        const auto refused = put('e');
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == errc::queue_full);
        CHECK_THAT(refused.error().message, ContainsSubstring("artifacts.maxTotalMB"));
        CHECK(there() == std::vector{id_of('a'), id_of('b'), id_of('d')});
        second.reset();
        REQUIRE(put('e'));
        CHECK(there() == std::vector{id_of('a'), id_of('d'), id_of('e')});
        CHECK(house::text_of(*first) == bytes);
    }
    SECTION("an entry larger than the store is refused, and nothing goes for it")
    {
        const auto refused = h.publish(id_of('d'), {{"app.js", std::string(4 * each, 'x')}});
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == errc::queue_full);
        CHECK(there().size() == 3);
    }
    SECTION("many at once")
    {
        std::size_t fine = 0;
        for (const char c : {'1', '2', '3', '4', '5'})
            asio::co_spawn(h.context, h.shop->publish(id_of(c), h.files({{"app.js", bytes}}), "{}"),
                           [&fine](std::exception_ptr e, result<std::shared_ptr<const entry>> r) { fine += !e && r; });
        h.context.restart();
        h.context.run();
        CHECK(fine == 5);
        CHECK(h.shop->stock().entries == 3);
        CHECK(h.shop->evicted() == 5);
    }
    SECTION("a start with too many makes room")
    {
        h.set_age(id_of('b'), std::chrono::hours{1});
        h.set_age(id_of('c'), std::chrono::hours{2});
        h.most = 2 * each;
        h.reopen();
        CHECK(there() == std::vector{id_of('a'), id_of('b')});
        CHECK(h.shop->evicted() == 1);
    }
    h.check_stock();
}

TEST_CASE("what somebody removes behind the store's back is absent")
{
    house h;
    REQUIRE(h.publish(id_a, {{"app.js", "x"}}));
    CHECK(h.get(id_a, "app.js") == "x");
    fs::remove_all(h.entry_path(id_a));
    CHECK(h.shop->find(id_a) == nullptr);
    CHECK(h.get(id_a, "app.js") == std::nullopt);
    REQUIRE(h.publish(id_a, {{"app.js", "y"}}));
    CHECK(h.get(id_a, "app.js") == "y");
}

TEST_CASE("an entry that another server on the same root has replaced is found anew")
{
    house h;
    REQUIRE(h.publish(id_a, {{"app.js", "mine"}}, "mine"));
    CHECK(h.get(id_a, "app.js") == "mine");
    store other{{h.root()}};
    REQUIRE(other.open());
    REQUIRE(run(h.context, other.publish(id_a, h.files({{"app.js", "theirs"}}), "theirs")));
    CHECK(h.shop->find(id_a)->record == "theirs");
    CHECK(h.get(id_a, "app.js") == "theirs");
}

TEST_CASE("memory holds small artifacts within its bounds, and large ones come from the disk")
{
    constexpr std::uint64_t budget = 256 * 1024;
    house h{budget};
    const std::string small = prose(budget / 8);
    const std::string large = prose(budget / 8 + 1);
    REQUIRE(h.publish(id_a, {{"small.js", small}, {"large.js", large}}));
    CHECK(h.open(id_a, "small.js", false, false)->memory);
    const auto from_disk = h.open(id_a, "large.js", false, false);
    CHECK_FALSE(from_disk->memory);
    CHECK((house::text_of(*from_disk) == large));

    file_list many;
    for (int i = 0; i < 20; ++i) many.emplace_back("f" + std::to_string(i), prose(20'000));
    REQUIRE(h.publish(id_b, many));
    for (int round = 0; round < 2; ++round) {
        for (const auto& [name, bytes] : many) {
            CHECK((h.get(id_b, name) == bytes));
            CHECK(h.shop->memory_bytes() <= budget);
        }
        // What was asked for last is in memory, even where its entry alone would fill it.
        const auto last = h.open(id_b, many.back().first, false, false);
        CHECK(h.open(id_b, many.back().first, false, false) == last);
    }
    for (unsigned i = 0; i < 40; ++i) {
        std::string id = std::to_string(i);
        id.insert(0, 32 - id.size(), '0');
        REQUIRE(h.publish(id, {{"app.js", prose(20'000)}}, std::string(1000, 'r')));
        CHECK(h.get(id, "app.js"));
        CHECK(h.shop->memory_bytes() <= budget);
    }
    CHECK(h.shop->memory_bytes() > budget / 2);
    CHECK((h.get(id_a, "small.js") == small));
    h.check_stock();
}

TEST_CASE("the cache forgets what was used longest ago")
{
    house h{128 * 1024};
    std::vector<std::string> ids;
    for (unsigned i = 0; i < 20; ++i) {
        ids.push_back(std::to_string(i));
        ids.back().insert(0, 32 - ids.back().size(), '0');
        REQUIRE(h.publish(ids.back(), {{"app.js", prose(16'000)}}));
    }
    const auto first = h.open(ids[0], "app.js", false, false);
    for (std::size_t i = 1; i < ids.size(); ++i) {
        CHECK(h.get(ids[i], "app.js"));
        // Used again and again, so still the same object.
        CHECK(h.open(ids[0], "app.js", false, false) == first);
    }
    const auto early = h.open(ids[19], "app.js", false, false);
    for (std::size_t i = 1; i < 19; ++i) CHECK(h.get(ids[i], "app.js"));
    CHECK(h.open(ids[19], "app.js", false, false) != early);
}

TEST_CASE("without memory everything works from the disk")
{
    house h{0};
    REQUIRE(h.publish(id_a, {{"app.js", prose(10'000)}, {"empty.js", ""}}, "record"));
    CHECK(h.shop->find(id_a)->record == "record");
    CHECK((h.get(id_a, "app.js") == prose(10'000)));
    CHECK(h.get(id_a, "empty.js") == "");
    run(h.context, h.shop->compress(id_a));
    CHECK((gunzip(*h.get(id_a, "app.js", true), 20'000) == prose(10'000)));
    CHECK(h.shop->memory_bytes() == 0);
    h.check_stock();
}
