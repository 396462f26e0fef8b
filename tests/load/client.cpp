#include "load/client.hpp"

#include "base/digest.hpp"
#include "load/decode.hpp"

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <exception>
#include <thread>
#include <vector>

namespace sandboxd::test {

namespace json = boost::json;

namespace {

// Every code that an answer may have, with its status: the table of lib/api/README.md.
constexpr std::array<std::pair<std::string_view, unsigned>, 24> documented{{
    {"compile_error", 400},
    {"timeout", 400},
    {"output_limit", 400},
    {"memory_limit", 400},
    {"disk_limit", 400},
    {"artifact_rejected", 400},
    {"invalid_request", 400},
    {"not_found", 404},
    {"method_not_allowed", 405},
    {"request_timeout", 408},
    {"payload_too_large", 413},
    {"target_too_long", 414},
    {"unsupported_media_type", 415},
    {"range_not_satisfiable", 416},
    {"header_too_large", 431},
    {"too_many_requests", 429},
    {"internal", 500},
    {"io", 500},
    {"method_not_implemented", 501},
    {"version_not_supported", 505},
    {"queue_full", 503},
    {"queue_timeout", 503},
    {"draining", 503},
    {"unavailable", 503},
}};

constexpr unsigned pool_size = 6;
constexpr std::size_t most_shown = 600;
constexpr auto longest_think = 20;  // milliseconds
constexpr auto longest_pause = 15;  // milliseconds between the pieces of a slow sender
constexpr auto longest_stay = 900;  // milliseconds before a client leaves a compile

void pause(std::uint64_t milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds{milliseconds}); }

// Why an answer is not one that the server may give, or nothing.
std::string malformed(const std::string& id, bool head, const http_answer& answer, std::string& code)
{
    if (answer.field("x-request-id") != id) return "it is the answer to " + answer.field("x-request-id");
    const bool bodiless = answer.status == 204 || answer.status == 304;
    if (!bodiless && answer.field("content-length").empty()) return "it has no Content-Length";
    if (answer.status < 400) return {};
    const auto of_status = [&](const auto& row) { return row.second == answer.status; };
    if (std::none_of(documented.begin(), documented.end(), of_status)) return "its status is not documented";
    if (head) return {};
    boost::system::error_code ec;
    const auto value = json::parse(answer.body, ec);
    if (ec || !value.is_object()) return "its body is no JSON object";
    const auto& body = value.get_object();
    // /readyz speaks of reasons instead.
    if (body.contains("ready")) return {};
    const auto* named = body.if_contains("code");
    const auto* ok = body.if_contains("ok");
    const auto* text = body.if_contains("error");
    if (!named || !named->is_string() || !ok || !ok->is_bool() || ok->get_bool() || !text || !text->is_string())
        return "it lacks ok, error or code";
    code = std::string{named->get_string()};
    const auto row =
        std::find_if(documented.begin(), documented.end(), [&](const auto& one) { return one.first == code; });
    if (row == documented.end()) return "its code is not documented";
    if (row->second != answer.status) return "its code belongs to another status";
    if ((answer.status == 503 || answer.status == 429) && answer.field("retry-after").empty())
        return "it has no Retry-After";
    return {};
}

}  // namespace

client::client(world& shared, unsigned number, temper how)
    : world_{shared}, number_{number}, temper_{how}, random_{shared.seed * 1'000 + number}
{
}

void client::run()
{
    // While everything stands still, there are no connections either.
    while (world_.gate.enter([this] { connection_.reset(); })) {
        try {
            temper_ == temper::heavy ? act_heavy() : act_light();
        } catch (const std::exception& e) {
            world_.ledger.violation(std::string{"a client threw: "} + e.what());
            connection_.reset();
        }
        world_.gate.leave();
        if (temper_ == temper::light) pause(pick(random_, longest_think));
        if (world_.port == 0) pause(longest_think);
    }
    connection_.reset();
}

void client::act_heavy()
{
    const auto dice = pick(random_, 100);
    if (dice < 25) return compile_good(unique_c());
    if (dice < 33) return compile_good(unique_cpp());
    if (dice < 43) return compile_good(unique_files());
    if (dice < 68) return compile_good(pooled());
    if (dice < 73) {
        auto again = pooled();
        again["cache"] = false;
        return compile_good(std::move(again));
    }
    if (dice < 85) return compile_bad_source();
    if (dice < 90) return send_slowly();
    leave_early();
}

void client::act_light()
{
    const auto dice = pick(random_, 1000);
    if (dice < 130) return refuse_json();
    if (dice < 240) return refuse_arguments();
    if (dice < 360) return refuse_others();
    if (dice < 670) return download_somehow();
    if (dice < 810) return ask_about_health();
    if (dice < 910) return pipeline();
    if (dice < 950) return send_slowly();
    if (dice < 998) return leave_early();
    stall();
}

json::object client::unique_c()
{
    const auto salt = std::to_string(random_() >> 1);
    return {{"code", "#include <stdio.h>\nint main(void) { printf(\"" + salt + "\\n\"); return 0; }\n"},
            {"type", "c"},
            {"args", {"-O" + std::to_string(pick(random_, 2))}}};
}

json::object client::unique_cpp()
{
    const auto salt = std::to_string(random_() >> 1);
    return {{"code",
             "template <class T> struct box { T value; };\n"
             "int main() { box<unsigned long long> b{" +
                 salt + "ull}; return static_cast<int>(b.value % 7); }\n"},
            {"type", "cpp"},
            {"args", {"-std=c++17", "-O0"}}};
}

json::object client::unique_files()
{
    const auto salt = std::to_string(random_() >> 1);
    return {{"files",
             {{{"path", "main.c"}, {"content", "#include \"lib/part.h\"\nint main(void) { return part() != 0; }\n"}},
              {{"path", "lib/part.h"}, {"content", "long long part(void);\n"}},
              {{"path", "lib/part.c"},
               {"content", "#include \"part.h\"\nlong long part(void) { return " + salt + "ll; }\n"}}}},
            {"args", {"-O0"}}};
}

json::object client::pooled()
{
    const auto which = pick(random_, pool_size);
    const auto salt = std::to_string(world_.seed) + std::to_string(which);
    const bool cpp = which % 3 == 2;
    return {{"code", (cpp ? "int pooled{" : "static int pooled = ") + std::to_string(which) + (cpp ? "};\n" : ";\n") +
                         "/* " + salt + " */\nint main(void) { return pooled; }\n"},
            {"type", cpp ? "cpp" : "c"},
            {"args", {"-O0"}}};
}

client::composed client::compose(std::string_view method, std::string_view target, const header_list& fields,
                                 std::string_view body)
{
    composed made;
    made.id = "load-" + std::to_string(number_) + "-" + std::to_string(++requests_);
    made.head = method == "HEAD";
    made.bytes = std::string{method} + " " + std::string{target} +
                 " HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: " + made.id + "\r\n";
    bool length = method != "POST";
    for (const auto& [name, value] : fields) {
        made.bytes += name + ": " + value + "\r\n";
        length = length || name == "Content-Length";
    }
    if (!length) made.bytes += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    made.bytes += "\r\n";
    made.bytes += body;
    return made;
}

client::composed client::compose_compile(const json::object& request)
{
    return compose("POST", "/compile", {{"Content-Type", "application/json"}}, json::serialize(request));
}

bool client::connect()
{
    if (connection_) {
        char extra = 0;
        const auto got = ::recv(connection_->native(), &extra, 1, MSG_PEEK | MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return true;
        const auto* on = world_.sky.now();
        if (got > 0) world_.ledger.violation("bytes that nobody asked for came behind an answer");
        if (got <= 0 && !(on && on->cuts)) world_.ledger.violation("the server closed a connection that it had kept");
        connection_.reset();
    }
    const auto port = world_.port.load();
    if (port == 0) return false;
    try {
        connection_ = std::make_unique<http_client>(port);
        return true;
    } catch (const std::exception& e) {
        const auto* on = world_.sky.now();
        if (!(on && on->cuts)) world_.ledger.violation(e.what());
        return false;
    }
}

void client::unanswered(const std::string& id)
{
    connection_.reset();
    const auto* on = world_.sky.now();
    if (on && on->cuts) {
        ++world_.ledger.cut;
        return;
    }
    world_.ledger.violation(id + " got no answer");
}

std::optional<http_answer> client::receive(const composed& what)
{
    ++world_.ledger.waiting;
    auto answer = connection_->receive(what.head);
    --world_.ledger.waiting;
    if (answer.status == 0) {
        unanswered(what.id);
        return std::nullopt;
    }
    ++world_.ledger.answered;
    return answer;
}

std::optional<http_answer> client::exchange(const composed& what)
{
    if (!connect()) return std::nullopt;
    ++world_.ledger.sent;
    // A server that refuses a body may close before all of it was sent; the answer is there all the
    // same.
    connection_->send(what.bytes);
    auto answer = receive(what);
    if (answer && answer->field("connection") == "close") connection_.reset();
    return answer;
}

bool client::judge(kind which, const composed& what, const http_answer& answer, std::initializer_list<wanted> accepted)
{
    std::string code;
    const auto wrong = malformed(what.id, what.head, answer, code);
    const auto shown = [&] {
        return what.id + " (" + what.bytes.substr(0, what.bytes.find('\r')) + ") got " + std::to_string(answer.status) +
               " " + code + ": " + answer.body.substr(0, most_shown) +
               (answer.body.size() > most_shown
                    ? " ... " + answer.body.substr(std::max(most_shown, answer.body.size() - most_shown))
                    : "");
    };
    world_.ledger.count(answer.status, code);
    if (!wrong.empty()) {
        world_.ledger.violation(wrong + ": " + shown());
        return false;
    }
    for (const auto& one : accepted) {
        if (one.status == answer.status && (what.head || one.code == code)) return true;
    }
    if (const auto* on = world_.sky.now(); on && !code.empty()) {
        static const std::vector<std::string_view> none;
        const auto& excused = which == kind::compile    ? on->compile_codes
                              : which == kind::download ? on->download_codes
                                                        : none;
        if (std::find(excused.begin(), excused.end(), code) != excused.end()) {
            world_.sky.had_effect();
            return false;
        }
    }
    const auto* on = world_.sky.now();
    world_.ledger.violation((on ? "while there is: " + std::string{on->name} + ", " : std::string{}) + shown());
    return false;
}

bool client::read_artifacts(const json::object& request, const composed& what, const http_answer& answer)
{
    publication made{.request = request, .id = {}, .files = {}};
    try {
        const auto body = answer.json();
        made.id = std::string{body.at("id").as_string()};
        if (!body.at("ok").as_bool()) throw std::runtime_error("ok is false");
        for (const auto& file : body.at("artifacts").as_array()) {
            made.files.push_back({.url = std::string{file.at("url").as_string()},
                                  .bytes = file.at("bytes").to_number<std::uint64_t>(),
                                  .sha256 = std::string{file.at("sha256").as_string()}});
        }
        if (made.files.size() < 2) throw std::runtime_error("it lacks artifacts");
    } catch (const std::exception& e) {
        world_.ledger.violation(what.id + ": the answer of a compile is not as it should be: " + e.what());
        return false;
    }
    const auto before = world_.ledger.hash_errors.load();
    world_.ledger.publish(std::move(made));
    return world_.ledger.hash_errors == before;
}

void client::compile_good(json::object request)
{
    const auto what = compose_compile(request);
    const auto answer = exchange(what);
    if (answer && judge(kind::compile, what, *answer, {{200}})) read_artifacts(request, what, *answer);
}

bool client::compile_again(json::object request)
{
    request["cache"] = false;
    const auto what = compose_compile(request);
    const auto answer = exchange(what);
    return answer && judge(kind::compile, what, *answer, {{200}}) && read_artifacts(request, what, *answer);
}

void client::compile_bad_source()
{
    const auto salt = std::to_string(random_() >> 1);
    const auto what = compose_compile({{"code", "int main(void) { return undeclared_" + salt + "; }\n"}});
    const auto answer = exchange(what);
    if (!answer || !judge(kind::compile, what, *answer, {{400, "compile_error"}})) return;
    const auto body = answer->json().as_object();
    // The fault may have excused the code: a killed compiler has no diagnostics.
    if (body.at("diagnostics").as_array().empty() && !world_.sky.now())
        world_.ledger.violation(what.id + ": a compile error without diagnostics: " + answer->body.substr(0, 600));
}

void client::refuse_arguments()
{
    static constexpr std::array<std::string_view, 4> refused{"-sEXPORTED_FUNCTIONS=@/etc/passwd", "-sSTACK_SIZE=@x",
                                                             "-sENVIRONMENT=@web", "--embed-file=/etc/passwd"};
    const json::string token{refused[pick(random_, refused.size())]};
    const auto what = compose_compile({{"code", "int main(void) { return 0; }\n"}, {"args", json::array{token}}});
    const auto answer = exchange(what);
    // Arguments are read once the toolchain is known, so what is wrong with that comes first.
    if (answer) judge(kind::compile, what, *answer, {{400, "invalid_request"}});
}

void client::refuse_json()
{
    static constexpr std::array<std::string_view, 6> broken{
        "{", "[]", "{\"code\": 7}", "{\"code\": \"int x;\", \"type\": \"pascal\"}", "{}", "{\"code\": \"\xff\"}"};
    const auto what =
        compose("POST", "/compile", {{"Content-Type", "application/json"}}, broken[pick(random_, broken.size())]);
    const auto answer = exchange(what);
    if (answer) judge(kind::plain, what, *answer, {{400, "invalid_request"}});
}

void client::refuse_others()
{
    switch (pick(random_, 6)) {
        case 0: {
            const auto what = compose("POST", "/compile", {{"Content-Type", "text/plain"}}, "int main");
            if (const auto answer = exchange(what))
                judge(kind::plain, what, *answer, {{415, "unsupported_media_type"}});
            return;
        }
        case 1: {
            const auto what =
                compose("POST", "/compile", {{"Content-Type", "application/json"}, {"Content-Length", "99999999"}});
            if (const auto answer = exchange(what)) judge(kind::plain, what, *answer, {{413, "payload_too_large"}});
            connection_.reset();
            return;
        }
        case 2: {
            const auto what = compose("GET", "/nowhere/" + std::to_string(pick(random_, 1000)));
            if (const auto answer = exchange(what)) judge(kind::plain, what, *answer, {{404, "not_found"}});
            return;
        }
        case 3: {
            const auto what = compose("DELETE", "/compile");
            if (const auto answer = exchange(what)) judge(kind::plain, what, *answer, {{405, "method_not_allowed"}});
            return;
        }
        case 4: {
            const auto what = compose("GET", "/" + std::string(9'000, 'x'));
            // The target is refused before its header is read, so the answer cannot name the
            // request.
            if (!connect()) return;
            ++world_.ledger.sent;
            connection_->send(what.bytes);
            const auto answer = receive(what);
            if (answer && answer->status != 414)
                world_.ledger.violation(what.id + ": a long target got " + std::to_string(answer->status));
            connection_.reset();
            return;
        }
        default: {
            const auto what = compose("GET", "/artifacts/" + std::string(32, 'f') + "/app.js");
            if (const auto answer = exchange(what)) judge(kind::download, what, *answer, {{404, "not_found"}});
            return;
        }
    }
}

void client::ask_about_health()
{
    static constexpr std::array<std::string_view, 5> places{"/healthz", "/livez", "/version", "/metrics", "/readyz"};
    const auto where = places[pick(random_, places.size())];
    const auto what = compose(pick(random_, 8) == 0 ? "HEAD" : "GET", where);
    const auto answer = exchange(what);
    if (!answer) return;
    // What makes compiles unavailable makes the server unready.
    const auto* on = world_.sky.now();
    if (where == "/readyz" && answer->status == 503 && on && !on->compile_codes.empty()) return;
    judge(kind::plain, what, *answer, {{200}});
}

bool client::check_hash(const artifact& what, std::string_view bytes, std::string_view how)
{
    ++world_.ledger.downloads;
    if (bytes.size() == what.bytes && to_hex(sha256_of(bytes)) == what.sha256) return true;
    ++world_.ledger.hash_errors;
    world_.ledger.violation(what.url + " (" + std::string{how} + ") does not have the hash that was announced; " +
                            std::to_string(bytes.size()) + " of " + std::to_string(what.bytes) + " bytes");
    return false;
}

bool client::download(const artifact& what)
{
    const auto request = compose("GET", what.url);
    const auto answer = exchange(request);
    return answer && judge(kind::download, request, *answer, {{200}}) && check_hash(what, answer->body, "whole");
}

void client::download_halves(const artifact& what)
{
    const auto middle = 1 + pick(random_, what.bytes - 1);
    std::string bytes;
    for (const auto& range : {"bytes=0-" + std::to_string(middle - 1), "bytes=" + std::to_string(middle) + "-"}) {
        const auto request = compose("GET", what.url, {{"Range", range}});
        const auto answer = exchange(request);
        if (!answer || !judge(kind::download, request, *answer, {{206}})) return;
        bytes += answer->body;
    }
    check_hash(what, bytes, "in two ranges");
}

void client::download_compressed(const artifact& what, std::string_view coding)
{
    const auto request = compose("GET", what.url, {{"Accept-Encoding", std::string{coding}}});
    const auto answer = exchange(request);
    if (!answer || !judge(kind::download, request, *answer, {{200}})) return;
    if (answer->field("content-encoding").empty()) {
        check_hash(what, answer->body, "whole");
        return;
    }
    check_hash(what, decode(coding, answer->body, what.bytes).value_or(""), coding);
}

void client::download_somehow()
{
    const auto what = world_.ledger.any(random_);
    if (!what) return;
    switch (pick(random_, 6)) {
        case 0: download_halves(*what); return;
        case 1: download_compressed(*what, "gzip"); return;
        case 2: download_compressed(*what, "br"); return;
        case 3: {
            const auto request = compose("HEAD", what->url);
            const auto answer = exchange(request);
            if (!answer) return;
            const auto* on = world_.sky.now();
            // An answer to HEAD has no body that could name its code.
            if (answer->status == 500 && on && !on->download_codes.empty()) return;
            if (!judge(kind::download, request, *answer, {{200}})) return;
            if (answer->field("content-length") != std::to_string(what->bytes))
                world_.ledger.violation(what->url + ": HEAD tells another length");
            const auto known = compose("GET", what->url, {{"If-None-Match", answer->field("etag")}});
            const auto unchanged = exchange(known);
            if (unchanged) judge(kind::download, known, *unchanged, {{304}});
            return;
        }
        default: download(*what); return;
    }
}

// Several requests in one piece: the answers come in their order.
void client::pipeline()
{
    struct item {
        composed what;
        wanted expected;
    };
    std::vector<item> items;
    std::string bytes;
    const auto many = 2 + pick(random_, 7);
    for (std::uint64_t i = 0; i < many; ++i) {
        switch (pick(random_, 4)) {
            case 0: items.push_back({compose("GET", "/healthz"), {200}}); break;
            case 1: items.push_back({compose("HEAD", "/metrics"), {200}}); break;
            case 2: items.push_back({compose("GET", "/nowhere"), {404, "not_found"}}); break;
            default:
                items.push_back({compose("POST", "/compile", {{"Content-Type", "application/json"}}, "{"),
                                 {400, "invalid_request"}});
        }
        bytes += items.back().what.bytes;
    }
    if (!connect()) return;
    world_.ledger.sent += items.size();
    connection_->send(bytes);
    for (auto one = items.begin(); one != items.end(); ++one) {
        if (!connection_) {  // the one before was cut
            unanswered(one->what.id);
            continue;
        }
        if (const auto answer = receive(one->what)) judge(kind::plain, one->what, *answer, {one->expected});
    }
}

void client::send_slowly()
{
    const bool heavy = temper_ == temper::heavy;
    const auto request = unique_c();
    const auto what =
        heavy ? compose_compile(request)
              : compose("POST", "/compile", {{"Content-Type", "application/json"}}, "{\"code\": \"int\", \"args\": 1}");
    if (!connect()) return;
    ++world_.ledger.sent;
    std::string_view left{what.bytes};
    while (!left.empty()) {
        const auto piece = left.substr(0, 1 + pick(random_, 60));
        if (!connection_->send(piece)) break;
        left.remove_prefix(piece.size());
        pause(pick(random_, longest_pause));
    }
    const auto answer = receive(what);
    if (!answer) return;
    if (answer->field("connection") == "close") connection_.reset();
    if (!heavy) {
        judge(kind::plain, what, *answer, {{400, "invalid_request"}});
    } else if (judge(kind::compile, what, *answer, {{200}})) {
        read_artifacts(request, what, *answer);
    }
}

// A body that does not come: 408, when its time is over.
void client::stall()
{
    const auto what =
        compose("POST", "/compile", {{"Content-Type", "application/json"}, {"Content-Length", "100"}}, "{\"code\":");
    const auto answer = exchange(what);
    if (answer) judge(kind::plain, what, *answer, {{408, "request_timeout"}});
    connection_.reset();
}

// Leaves at some point: in the header, in the body, while the job runs, while the answer comes.
void client::leave_early()
{
    if (!connect()) return;
    ++world_.ledger.abandoned;
    const auto known = world_.ledger.any(random_);
    if (temper_ == temper::light && known && pick(random_, 2) == 0) {
        connection_->send(compose("GET", known->url).bytes);
    } else if (temper_ == temper::light) {
        const auto what = compose_compile(unique_c());
        connection_->send(std::string_view{what.bytes}.substr(0, pick(random_, what.bytes.size())));
    } else {
        connection_->send(compose_compile(pick(random_, 2) == 0 ? unique_c() : unique_cpp()).bytes);
        pause(pick(random_, longest_stay));
    }
    if (pick(random_, 2) == 0) {
        const linger reset{.l_onoff = 1, .l_linger = 0};
        ::setsockopt(connection_->native(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
    connection_.reset();
}

}  // namespace sandboxd::test
