"""The programs of tests/bench/corpus: what a known preamble, a known answer or a started tool could change.

PROGRAMS lists them. Most are made of the tables below: one row, one program. A row says what it is about; what is
written for no reason of its own is short.
"""
import re
import typing


class Program(typing.NamedTuple):
    name: str
    files: dict  # path: text; main.c or main.cpp alone goes as `code`
    args: tuple = ()  # beside those of the set
    preambles: int = 0  # of its sources: how many begin with system headers that may be known


PROGRAMS = []

# Comments and macros, and then a system header: what the service may know.
BEGINS_WITH_HEADERS = re.compile(r"\A(?:[ \t]*(?://[^\n]*|#[ \t]*define [^\n]*)?\r?\n)*[ \t]*#[ \t]*include[ \t]*<[^\n]*\n")


def add(name, files, *args, preambles=None):
    if preambles is None:
        preambles = sum(path.endswith(("cpp", "cc", "cxx")) and bool(BEGINS_WITH_HEADERS.match(text))
                        for path, text in files.items())
    PROGRAMS.append(Program(name, files, args, preambles))


def cpp(name, code, *args, preambles=None):
    add(name, {"main.cpp": code}, *args, preambles=preambles)


def c(name, code, *args):
    add(name, {"main.c": code}, *args)


# -- C++: one header, and something that uses it ------------------------------------------------------------------

USES = {
    "algorithm": "int main(int c, char** v) { std::sort(v, v + c); return std::count(v, v + c, nullptr); }",
    "any": "int main(int c, char**) { std::any a = c; a = std::string(3, 'x'); return a.has_value(); }",
    "array": "int main(int c, char**) { std::array<int, 4> a{c, 2, 3}; return a.at(c) + a.size(); }",
    "atomic": "std::atomic<int> n; int main() { n.fetch_add(2); return n.load(std::memory_order_acquire); }",
    "bitset": "int main(int c, char**) { std::bitset<70> b(c); b.flip(); return b.count(); }",
    "cassert": "int main(int c, char**) { assert(c > 1 && \"few\"); return 0; }",
    "cctype": "int main(int c, char** v) { return std::isalpha(v[0][0]) + std::toupper(c); }",
    "charconv": "int main(int c, char** v) { int n = 0; std::from_chars(v[0], v[0] + 4, n); return n; }",
    "chrono": "int main() { return std::chrono::steady_clock::now().time_since_epoch() > std::chrono::hours(3); }",
    "cmath": "int main(int c, char**) { return int(std::sin(c) * std::pow(2.0, c) + std::hypot(3.f, c)); }",
    "codecvt": "int main() { std::codecvt_utf8<wchar_t> c(1); return c.encoding(); }",
    "complex": "int main(int c, char**) { return int(std::abs(std::exp(std::complex<double>(c, 2)))); }",
    "cstdio": "int main(int c, char** v) { std::printf(\"%d %s\\n\", c, v[0]); }",
    "cstdlib": "int main(int c, char** v) { return std::atoi(v[0]) + std::div(c, 2).rem; }",
    "cstring": "int main(int, char** v) { char b[9]; std::memset(b, 0, 9); return std::strlen(std::strcpy(b, v[0])); }",
    "ctime": "int main() { return std::time(nullptr) % 100; }",
    "deque": "int main(int c, char**) { std::deque<int> d(c); d.push_front(4); return d.back(); }",
    "exception": "int main() { std::set_terminate([] { std::abort(); }); return std::uncaught_exceptions(); }",
    "fstream": "int main() { std::ofstream f(\"a\"); f << 1.5 << \"x\"; std::ifstream g(\"a\"); int n; g >> n; return n; }",
    "forward_list": "int main(int c, char**) { std::forward_list<int> l{c, 2}; l.sort(); return l.front(); }",
    "functional": "int main(int c, char**) { std::function<int(int)> f = [c](int n) { return n + c; }; return f(1); }",
    "future": "int main() { std::promise<int> p; p.set_value(2); return p.get_future().get(); }",
    "initializer_list": "int f(std::initializer_list<int> l) { return l.size(); } int main() { return f({1, 2}); }",
    "iomanip": "#include <iostream>\nint main() { std::cout << std::setw(9) << std::hex << std::setprecision(3) << 2.5; }",
    "ios": "int main() { return std::ios_base::failure(\"x\").code().value(); }",
    "iostream": "int main() { int n; std::cin >> n; std::cout << n << std::endl; std::clog << 'c'; }",
    "iterator": "int main(int c, char** v) { return std::distance(v, std::next(v, c)) + std::size({1, 2}); }",
    "limits": "int main(int c, char**) { return c + std::numeric_limits<short>::max() / 2; }",
    "list": "int main(int c, char**) { std::list<int> l(c, 3); l.reverse(); l.unique(); return l.size(); }",
    "locale": "int main() { return std::use_facet<std::ctype<char>>(std::locale()).is(std::ctype_base::alpha, 'x'); }",
    "map": "int main(int c, char** v) { std::map<int, char*> m; m[c] = v[0]; return m.begin()->first; }",
    "memory": "int main(int c, char**) { auto p = std::make_shared<int>(c); std::weak_ptr<int> w = p; return w.use_count(); }",
    "mutex": "std::once_flag o; int main() { std::mutex m; std::lock_guard<std::mutex> l(m); std::call_once(o, [] {}); }",
    "new": "int main(int c, char**) { auto p = new (std::nothrow) int[c]; delete[] p; return p != nullptr; }",
    "numeric": "int main(int c, char**) { int a[] = {1, c}; return std::accumulate(a, a + 2, 0) + std::gcd(c, 6); }",
    "optional": "int main(int c, char**) { std::optional<int> o; if (c > 1) o = c; return o.value_or(3); }",
    "queue": "int main(int c, char**) { std::priority_queue<int> q; q.push(c); return q.top(); }",
    "random": "int main() { std::mt19937 g(7); return std::uniform_int_distribution<>(1, 6)(g); }",
    "ratio": "int main() { return std::ratio_add<std::ratio<1, 3>, std::ratio<1, 6>>::den; }",
    "regex": "int main(int, char** v) { return std::regex_match(v[0], std::regex(\"a+(b|c)*\")); }",
    "set": "int main(int c, char**) { std::multiset<int> s{c, 1, 1}; return s.count(1); }",
    "shared_mutex": "std::shared_mutex m; int main() { std::shared_lock<std::shared_mutex> l(m); return l.owns_lock(); }",
    "sstream": "int main(int c, char**) { std::stringstream s; s << c << ' ' << 2.5; return s.str().size(); }",
    "stack": "int main(int c, char**) { std::stack<int> s; s.push(c); return s.top(); }",
    "stdexcept": "int main(int c, char**) { if (c > 9) throw std::out_of_range(\"far\"); }",
    "string": "int main(int c, char** v) { std::string s = v[0]; s += std::to_string(c); return s.find('1'); }",
    "string_view": "int main(int, char** v) { std::string_view s = v[0]; return s.substr(1).size(); }",
    "system_error": "int main() { return std::make_error_code(std::errc::io_error).message().size(); }",
    "thread": "int main() { return std::thread::hardware_concurrency(); }",
    "tuple": "int main(int c, char**) { auto t = std::make_tuple(c, 2.5, 'x'); return std::get<0>(t); }",
    "type_traits": "static_assert(std::is_integral<char>::value, \"\"); int main() {}",
    "typeindex": "int main() { return std::type_index(typeid(int)).hash_code() == 3; }",
    "typeinfo": "struct a { virtual ~a() {} }; int main() { a* p = new a; return typeid(*p).name()[0]; }",
    "unordered_map": "int main(int c, char**) { std::unordered_map<int, int> m; m[c] = 2; return m.bucket_count(); }",
    "unordered_set": "int main(int c, char**) { std::unordered_set<long> s{c}; return s.count(2); }",
    "utility": "int main(int c, char**) { auto p = std::make_pair(c, 'x'); std::swap(p.first, c); return c; }",
    "valarray": "int main(int c, char**) { std::valarray<int> a(c, 5); return (a * a).sum(); }",
    "variant": "int main(int c, char**) { std::variant<int, double> v = c; return std::visit([](auto x) { return int(x); }, v); }",
    "vector": "int main(int c, char**) { std::vector<int> v(c); v.insert(v.begin(), 3); return v.size(); }",
    "emscripten.h": "int main() { emscripten_run_script(\"out(1)\"); return emscripten_get_now(); }",
    "stdio.h": "int main() { puts(\"C's own\"); }",
    "math.h": "int main(int c, char**) { return abs(c) + sqrt(c) + isnan(1.0 * c); }",
    "string.h": "int main(int c, char** v) { return strchr(v[0], 'x') != nullptr && c; }",
    "setjmp.h": "jmp_buf b; int main() { if (setjmp(b)) return 1; longjmp(b, 2); }",
}
for header, use in USES.items():
    cpp(f"<{header}>", f"#include <{header}>\n{use}\n", *(["-std=c++17"] if header == "codecvt" else []))

# The same headers in other orders, more of them, and twice.
MANY = "#include <vector>\n#include <map>\n#include <string>\n#include <algorithm>\n#include <iostream>\n"
REVERSED = "".join(reversed(MANY.splitlines(True)))
COUNTS = """int main(int c, char** v) {
  std::map<std::string, int> m;
  std::vector<std::string> w(v, v + c);
  std::sort(w.begin(), w.end());
  for (const auto& s : w) ++m[s];
  for (const auto& p : m) std::cout << p.first << p.second << '\\n';
}
"""
cpp("five headers", MANY + COUNTS)
cpp("five headers from the last to the first", REVERSED + COUNTS)
cpp("five headers twice", MANY + REVERSED + COUNTS)
cpp("five headers, and using namespace std", MANY + "using namespace std;\n" + COUNTS.replace("std::", ""))
cpp("headers that bring most of the library", "#include <regex>\n#include <random>\n#include <future>\n#include <fstream>\n"
    "#include <functional>\nint main() { std::mt19937_64 g; std::function<int()> f = [&] { return g() % 3; }; return f(); }\n")
cpp("C's names and C++'s", "#include <stdlib.h>\n#include <cstdlib>\n#include <math.h>\n#include <cmath>\n"
    "int main(int c, char**) { return abs(c) + std::abs(2.5 * c); }\n")

# -- C++: odd preambles, before the same program ----------------------------------------------------------------------

PRINTS = "int main(int c, char**) { std::vector<int> v(c); std::printf(\"%d\\n\", int(v.size()) + __LINE__); }\n"
TWO = "#include <cstdio>\n#include <vector>\n"
ODD = {  # text, and how many preambles of it may be known; None: as the text looks
    "a byte order mark": ("\ufeff" + TWO, 0),
    "CRLF": (TWO.replace("\n", "\r\n"), None),
    "CRLF in some lines": ("#include <cstdio>\r\n#include <vector>\n", None),
    "a carriage return that ends a line": ("#include <cstdio>\r#include <vector>\n", 0),
    "a carriage return in a comment, and a pragma": ("// one\r#pragma once\n" + TWO, 0),
    "a carriage return in a comment, and code": ("// one\rstatic int unused;\n" + TWO, 0),
    "a carriage return in a macro, and a pragma": ("#define ONE 1\r#pragma GCC system_header\n" + TWO, 0),
    "a carriage return behind a comment": ("/* one */ // two\r#pragma once\n" + TWO, 0),
    "a carriage return in a long comment": ("/* one\r two */\n" + TWO, 0),
    "blank lines": ("\n\n   \n\t\n#include <cstdio>\n\n\v\f\n#include <vector>\n\n", None),
    "blanks in the directives": ("  #  include   <cstdio>\t\n#\tinclude<vector>  \n", None),
    "comments": ("// one\n#include <cstdio> // two\n//\n#include <vector>// three\n", None),
    "a long comment": ("/* one\n * two\n#include <nothing>\n */\n" + TWO, 1),
    "a long comment that ends with a directive": ("/* one\n */ #include <cstdio>\n#include <vector>\n", 0),
    "a long comment that begins behind a header": ("#include <cstdio> /* one\n two */\n#include <vector>\n", 0),
    "a comment in a comment": ("/* one /* two */\n" + TWO, None),
    "a comment that is hardly one": ("/*/ one */\n" + TWO, None),
    "a comment that never ends": (TWO + "/* one\n", None),
    "a comment that goes on": ("// one \\\n#include <nothing>\n" + TWO, 0),
    "a comment that goes on behind blanks": ("// one \\  \n#include <nothing>\n" + TWO, 0),
    "a trigraph that goes on": ("// what??/\n#include <nothing>\n" + TWO, 0),
    "letters beyond ASCII": ("// Grüße, 世界 🙂\n" + TWO, 1),
    "a header in two lines": ("#include \\\n<cstdio>\n#include <vector>\n", 0),
    "a digraph": ("%:include <cstdio>\n#include <vector>\n", 0),
    "import": ("#import <cstdio>\n#include <vector>\n", 0),
    "#pragma once": ("#pragma once\n" + TWO, 0),
    "#pragma once between": ("#include <cstdio>\n#pragma once\n#include <vector>\n", None),
    "a guard": ("#ifndef GUARD\n#define GUARD\n" + TWO + "#endif\n", 0),
    "#if around a header": ("#include <cstdio>\n#if __cplusplus >= 201103L\n#include <vector>\n#endif\n", None),
    "#if around the first header": ("#if 1\n#include <cstdio>\n#else\n#include <nothing>\n#endif\n#include <vector>\n", 0),
    "__has_include": ("#include <cstdio>\n#if __has_include(<vector>) && !__has_include(<nothing>)\n#include <vector>\n#endif\n", None),
    "#line": ("#line 70 \"other.cpp\"\n" + TWO, 0),
    "#line between": ("#include <cstdio>\n#line 70 \"other.cpp\"\n#include <vector>\n", None),
    "a macro": ("#define SIZE 3\n#include <cstdio>\n#define MORE(a, b) ((a) + b)\n#include <vector>\n", None),
    "a macro that a header reads": ("#define _USE_MATH_DEFINES\n#define NDEBUG\n#include <cmath>\n#include <cassert>\n" + TWO, None),
    "a macro that changes a header": ("#define __deprecated 1\n#define _LIBCPP_DISABLE_AVAILABILITY\n" + TWO, None),
    "a macro of a keyword": ("#define private public\n" + TWO, None),
    "a macro of a header's name": ("#define STANDARD <cstdio>\n#include STANDARD\n#include <vector>\n", 0),
    "a macro with a comment": ("#define SIZE 3 /* of it\n all */\n" + TWO, 0),
    "a macro with half a string": ("#define HALF \"a\n" + TWO, None),
    "a macro of a raw string": ("#define RAW R\"(\n#include <nothing>\n)\"\n" + TWO, None),
    "a macro that goes on": ("#define SIZE \\\n 3\n" + TWO, 0),
    "a macro that is undefined": ("#define SIZE 3\n#include <cstdio>\n#undef SIZE\n#include <vector>\n", None),
    "a macro twice": ("#define SIZE 3\n#define SIZE 3\n" + TWO, None),
    "a macro twice, otherwise": ("#define SIZE 3\n#define SIZE 4\n" + TWO, None),
    "a macro of the compiler's": ("#define __cplusplus 3\n" + TWO, None),
    "__FILE__ of a macro": ("#define HERE __FILE__\n" + TWO + "const char* here() { return HERE; }\n", None),
    "__COUNTER__ of a macro": ("#define NEXT __COUNTER__\n" + TWO + "int a = NEXT, b = NEXT;\n", None),
    "__LINE__ of a macro": ("#define AT __LINE__\n\n" + TWO + "\nint at = AT;\n", None),
    "a header that is missing": ("#include <nothing>\n" + TWO, None),
    "a header that is missing last": (TWO + "#include <nothing/at_all>\n", None),
    "a header outside": ("#include </usr/include/stdio.h>\n" + TWO, 0),
    "a header by another way": ("#include <../include/stdio.h>\n" + TWO, 0),
    "a header in quotes": ("#include \"cstdio\"\n#include <vector>\n", 0),
    "a header in quotes behind": (TWO + "#include \"map\"\n", None),
    "half a header": ("#include <cstdio\n#include <vector>\n", 0),
    "more behind a header": ("#include <cstdio> and\n#include <vector>\n", 0),
    "a warning of its own": (TWO + "#warning look\n", None),
    "a warning before": ("#warning look\n" + TWO, 0),
    "an error before": ("#error stop\n" + TWO, 0),
    "code before": ("int before;\n" + TWO, 0),
    "an include in a namespace": ("#include <cstdio>\nnamespace std {}\n#include <vector>\n", None),
}
for about, (text, known) in ODD.items():
    cpp("preamble: " + about, text + PRINTS, preambles=known)
cpp("preamble: longer than what is looked at", "".join(f"// {i}\n" for i in range(3000)) + TWO + PRINTS, preambles=0)
cpp("preamble: its headers end where the look ends", TWO + "// long\n" * 2200 + "#include <map>\n" + PRINTS)
cpp("preamble: nothing behind", "#include <cstdio>\n#include <vector>\n", preambles=0)
cpp("preamble: no end of line behind", "#include <vector>\nint main() { return std::vector<int>(2)[1]; }")
cpp("preamble: the last header has no end of line", "#include <cstdio>\n#include <vector>", preambles=0)
add("preamble: a header of the job's own with a standard name",
    {"main.cpp": TWO + PRINTS, "vector": "#error this one\n"})
add("preamble: the same, and the job's folder is searched",
    {"main.cpp": "#include <cstdio>\n#include <vector>\nint main() { return own; }\n", "vector": "enum { own = 3 };\n"},
    "-I.", preambles=0)
add("preamble: and as a system's",
    {"main.cpp": "#include <map>\nint main() { return own; }\n", "system/map": "enum { own = 3 };\n"},
    "-isystem", "system", preambles=0)
add("preamble: a header of its own behind",
    {"main.cpp": TWO + "#include \"own.hpp\"\n" + PRINTS, "own.hpp": "#pragma once\n#include <map>\ninline int own;\n"})
add("preamble: a header of its own before",
    {"main.cpp": "#include \"own.hpp\"\n" + TWO + PRINTS, "own.hpp": "#define _LIBCPP_ABI_VERSION 1\n"})
cpp("preamble: a macro from the arguments", TWO + "int size[SIZE];\n" + PRINTS, "-DSIZE=3")
cpp("preamble: a macro from the arguments, defined again", "#define SIZE 4\n" + TWO + "int size[SIZE];\n" + PRINTS, "-DSIZE=3")

# -- C++: what comes behind the preamble ------------------------------------------------------------------------------

BEHIND = {
    "assert with and without NDEBUG": "#include <assert.h>\nvoid f(int n) { assert(n); }\n#define NDEBUG\n#include <assert.h>\n"
                                      "int main(int c, char**) { f(c); assert(c == 3); }\n",
    "__COUNTER__": "int a = __COUNTER__, b = __COUNTER__; int main() { return a + 10 * b; }\n",
    "where it is": "#include <cstring>\nint main() { return std::strlen(__FILE__ __TIME__) + __LINE__ + sizeof __BASE_FILE__ + __INCLUDE_LEVEL__; }\n",
    "names of functions": "template <class T> const char* f(T) { return __PRETTY_FUNCTION__; }\n"
                          "int main() { std::puts(f([] {})); std::puts(f(std::string())); std::puts(__func__); }\n",
    "macros of headers": "int main() { std::printf(\"%d %d\", EOF, BUFSIZ); return std::min(1, 2) + __cplusplus % 7; }\n",
    "a macro of a header again": "#undef EOF\n#define EOF 7\nint main() { return EOF; }\n",
    "a macro of a header, otherwise": "#define EOF 7\nint main() { return EOF; }\n",
    "templates": "template <class T, int n> struct a { T t[n]; T sum() const { T s{}; for (auto& x : t) s += x; return s; } };\n"
                 "int main(int c, char**) { a<int, 3> x{{1, 2, c}}; a<std::string, 2> y; return x.sum() + y.sum().size(); }\n",
    "templates of headers for own types": "struct mine { int n; bool operator<(const mine& o) const { return n < o.n; } };\n"
                                          "int main(int c, char**) { std::vector<mine> v{{3}, {c}}; std::sort(v.begin(), v.end()); return v[0].n; }\n",
    "a specialisation of a header's": "struct mine {}; namespace std { template <> struct hash<mine> { size_t operator()(mine) const { return 3; } }; }\n"
                                      "int main() { return std::hash<mine>()(mine()); }\n",
    "an instantiation of a header's": "template class std::vector<short>;\nint main() { std::vector<short> v; v.push_back(2); return v[0]; }\n",
    "a swap in std": "struct mine { int n; }; namespace std { void swap(mine& a, mine& b) { auto n = a.n; a.n = b.n; b.n = n; } }\n"
                     "int main() { mine a[2] = {{1}, {2}}; std::reverse(a, a + 2); return a[0].n; }\n",
    "operators new and delete": "#include <new>\n#include <cstdlib>\nvoid* operator new(std::size_t n) { return std::malloc(n + 8); }\n"
                                "void operator delete(void* p) noexcept { std::free(p); }\n"
                                "int main(int c, char**) { return *new int(c) + std::string(c + 40, 'x').size(); }\n",
    "constexpr": "constexpr int f(int n) { return n < 2 ? n : f(n - 1) + f(n - 2); }\nstatic_assert(f(10) == 55);\n"
                 "int table[f(7)]; int main(int c, char**) { return f(c) + table[c]; }\n",
    "inline variables": "inline int n = 3; struct a { inline static std::string s = \"x\"; }; int main() { return n + a::s.size(); }\n",
    "static initialisers": "int f(); std::string s(3, 'x'); int n = f(); static std::vector<int> v{1, 2};\n"
                           "int f() { static std::string t = s; return t.size(); } int main() { return n + v.size(); }\n",
    "initialisers in order": "struct a { a(int n) { std::printf(\"%d\", n); } ~a() { std::puts(\"~\"); } };\n"
                             "a one(1); namespace { a two(2); } thread_local a three(3); int main() { (void)&three; }\n",
    "exceptions": "struct mine : std::exception { const char* what() const noexcept override { return \"mine\"; } };\n"
                  "int main(int c, char**) { try { if (c) throw mine(); throw 3; } catch (std::exception& e) { std::puts(e.what()); } catch (...) { return 3; } }\n",
    "exceptions without catching": "void f(int n) noexcept { if (n) throw n; } int main(int c, char**) { f(c); }\n",
    "RTTI": "#include <typeinfo>\nstruct a { virtual ~a() {} }; struct b : a { int n = 3; };\n"
            "int main(int c, char**) { a* p = c > 1 ? new b : new a; auto q = dynamic_cast<b*>(p); return q ? q->n : typeid(*p) == typeid(a); }\n",
    "virtual bases": "struct a { virtual int f() { return 1; } }; struct b : virtual a {}; struct d : virtual a { int f() override { return 2; } };\n"
                     "struct e : b, d {}; int main() { e x; a& y = x; return y.f(); }\n",
    "a stream of its own": "struct mine {}; std::ostream& operator<<(std::ostream& o, mine) { return o << \"mine\"; } int main() { std::cout << mine() << '\\n'; }\n",
    "a buffer of its own": "struct mine : std::streambuf { int overflow(int c) override { return std::putchar(c); } };\n"
                           "int main() { mine m; std::ostream o(&m); o << 3.5 << std::string(\"x\"); }\n",
    "lambdas": "int main(int c, char**) { auto f = [c](auto... x) mutable { return (c++ + ... + x); }; auto g = [&f] { return f(1, 2); }; return g() + [] { return 3; }(); }\n",
    "structured bindings": "int main() { auto [a, b] = std::make_pair(1, std::string(\"x\")); if (auto n = b.size(); n) return n + a; }\n",
    "names without linkage": "namespace { struct a { int n = 2; }; int f(a x) { return x.n; } } static int g() { return f({}); } int main() { return g(); }\n",
    "C's names": "extern \"C\" int twice(int n) { return 2 * n; } extern \"C\" { int three = 3; } int main() { return twice(three); }\n",
    "attributes": "[[nodiscard]] int f() { return 1; } __attribute__((used, section(\"mine\"))) static int n = 3; [[noreturn]] void g() { std::abort(); }\n"
                  "int main(int c, char**) { if (c > 5) g(); return f(); }\n",
    "user-defined literals": "using namespace std::string_literals; int operator\"\"_n(unsigned long long n) { return n; } int main() { return \"abc\"s.size() + 3_n; }\n",
    "unions and bit fields": "union a { int i; float f; }; struct b { int x : 3, y : 5; }; int main(int c, char**) { a u; u.f = c; b v{1, 2}; return u.i + v.y; }\n",
    "floating point": "double f(double a, double b) { return a * b + 0.1 / (a - b); } int main(int c, char**) { std::printf(\"%g %Lf\", f(c, 2), 1.5L); }\n",
    "64 bits": "long long f(long long n) { return n * 1234567890123LL; } int main(int c, char**) { return f(c) >> 33; }\n",
    "loops to unroll": "int a[64]; int main(int c, char**) { for (int i = 0; i < 64; ++i) a[i] = i * c; int s = 0; for (int n : a) s += n; return s; }\n",
    "pragmas": "#pragma pack(push, 1)\nstruct a { char c; int n; };\n#pragma pack(pop)\n#pragma clang loop unroll(full)\nint main() { return sizeof(a); }\n",
    "a message of a pragma": "#pragma message(\"look\")\nint main() {}\n",
    "a region without its end": "#pragma clang diagnostic push\n#pragma clang diagnostic ignored \"-Wreturn-type\"\nint f() { }\nint main() { return f(); }\n",
    "a warning that is put off": "#pragma GCC diagnostic ignored \"-Wall\"\nint main(int c, char**) { int n; return c = n; }\n",
    "assembler": "int main(int c, char**) { asm volatile(\"nop\" : : \"r\"(c)); return c; }\n",
    "a static assertion": "static_assert(sizeof(std::string) == 12, \"of libc++\"); int main() {}\n",
    "EM_ASM": "#include <emscripten.h>\nint main(int c, char**) { EM_ASM({ out('x' + $0); }, c); return EM_ASM_INT({ return $0 + 1; }, c); }\n",
    "EM_JS": "#include <emscripten.h>\nEM_JS(int, add, (int a, int b), { return a + b; });\nint main(int c, char**) { return add(c, 2); }\n",
    # Warnings
    "a warning: no return": "int f() { }\nint main() { return f(); }\n",
    "a warning: unused": "static int f() { return 1; }\nint main(int c, char** v) { int n = 2; }\n",
    "a warning: format": "int main(int c, char**) { std::printf(\"%s %d\\n\", c); }\n",
    "a warning: of a header's function": "int main() { std::vector<int> v; v.empty(); std::string s; s == \"x\"; }\n",
    "a warning: deprecated": "int main() { std::auto_ptr<int> p; char b[L_tmpnam]; std::tmpnam(b); }\n",
    "a warning: signs": "int main() { std::vector<int> v; for (int i = 0; i < v.size(); ++i) {} }\n",
    "a warning: in a template of its own": "template <class T> int f(T t) { int n = t; return 300000000000; }\nint main() { return f(3) + f('x'); }\n",
    "a warning: in a template of a header": "int main() { std::pair<char, char> p(300, 2.5); return std::vector<char>{char(400)}[0] + p.first; }\n",
    "a warning: division": "int main() { return 1 / 0; }\n",
    "a warning: of the optimiser": "int main(int c, char**) {\n#pragma clang loop vectorize(assume_safety) unroll_count(3)\nwhile (c) { c = c * 3 + 1; } }\n",
    "a warning: an attribute": "[[gnu::unknown]] int n; __attribute__((warning_of_mine)) int m; int main() {}\n",
    "a warning: virtual": "struct a { virtual void f(); virtual ~a() {} }; struct b : a { virtual void f(int); }; int main() {}\n",
    # Errors
    "an error: undeclared": "int main() { return undeclared; }\n",
    "an error: one letter": "int main() { std::vectr<int> v; std::prinft(\"x\"); }\n",
    "an error: no semicolon": "int main() { std::vector<int> v return 0; }\n",
    "an error: no brace": "int main() { if (1) {\n",
    "an error: no header": "int main() { std::unordered_multimap<int, int> m; std::regex r; }\n",
    "an error: in a template of a header": "struct a {};\nint main() { std::vector<a> v(3); std::sort(v.begin(), v.end()); }\n",
    "an error: a key without an order": "struct a {};\nint main() { std::map<a, int> m; m[a()] = 1; }\n",
    "an error: no match": "int main() { std::string s = 3; std::cout << std::vector<int>(); }\n",
    "an error: of a constant": "constexpr int f(int n) { return 1 / n; } constexpr int n = f(0); int main() {}\n",
    "an error: points into a header": "int printf(double); namespace std { class string {}; } int main() {}\n",
    "an error: twice": "int f() { return 1; }\nint f() { return 2; }\nint main() {}\n",
    "an error: #error": "#error stop here\nint main() {}\n",
    "an error: #endif": "#endif\nint main() {}\n",
    "an error: #if": "#if 1\nint main() {}\n",
    "an error: a static assertion": "static_assert(sizeof(std::string) == 1, \"of no library\"); int main() {}\n",
    "an error: private": "class a { int n; }; int main() { return a().n; }\n",
    "an error: deleted": "int main() { std::unique_ptr<int> p; auto q = p; }\n",
    "an error: instantiated too late": "template <> struct std::char_traits<char> {}; int main() {}\n",
    "many errors": "int main() { a; b; c; d; e; f; g; h; i; j; k; l; m; n; o; p; q; r; s; t; u; v; w; x; y; z; }\n",
    # The linker
    "the linker: missing": "int missing(std::string);\nint main() { return missing(\"x\"); }\n",
    "the linker: no main": "int f() { return 1; }\n",
    "the linker: missing virtual": "struct a { virtual void f(); virtual ~a(); }; int main() { a x; }\n",
}
HEADERS_BEFORE = "// A program\n#include <cstdio>\n#include <iostream>\n#include <string>\n#include <vector>\n#include <algorithm>\n#include <map>\n#include <memory>\n"
for about, text in BEHIND.items():
    if "__TIME__" in text:
        text = text.replace("__TIME__", "\"x\"")
    cpp(about, HEADERS_BEFORE + text)

# -- C++: settings of emcc's, and what they need from JavaScript -------------------------------------------------------

HELLO = "#include <iostream>\nint main() { std::cout << \"hello\\n\"; }\n"
BOUND = "#include <emscripten/bind.h>\nusing namespace emscripten;\n"
CLASS = BOUND + """#include <string>
#include <vector>
struct point { int x, y; };
class shape {
public:
  explicit shape(std::string n) : name_(n) {}
  virtual ~shape() {}
  std::string name() const { return name_; }
  void rename(std::string n) { name_ = n; }
  static int count() { return 3; }
private:
  std::string name_;
};
EMSCRIPTEN_BINDINGS(shapes) {
  value_object<point>("point").field("x", &point::x).field("y", &point::y);
  class_<shape>("shape").constructor<std::string>().property("name", &shape::name, &shape::rename).class_function("count", &shape::count);
  register_vector<int>("ints");
  enum_<std::errc>("errc").value("io", std::errc::io_error);
}
"""
cpp("embind: a function", BOUND + "int add(int a, int b) { return a + b; }\nEMSCRIPTEN_BINDINGS(m) { function(\"add\", &add); }\n", "-lembind")
cpp("embind: by its older name", BOUND + "EMSCRIPTEN_BINDINGS(m) { function(\"f\", select_overload<int(int)>([](int n) { return n; })); constant(\"c\", 3); }\n", "--bind")
cpp("embind: classes", CLASS, "-lembind")
cpp("embind: val", "#include <emscripten/val.h>\nint main() { auto w = emscripten::val::global(\"window\"); w.set(\"x\", 3); return w[\"x\"].as<int>(); }\n", "-lembind")
cpp("embind: without its library", BOUND + "int f() { return 1; }\nEMSCRIPTEN_BINDINGS(m) { function(\"f\", &f); }\nint main() {}\n")
cpp("embind: an error", BOUND + "EMSCRIPTEN_BINDINGS(m) { function(\"f\", 3); }\n", "-lembind")
SETTINGS = {
    "one file": ("-sSINGLE_FILE=1",),
    "exports": ("-sEXPORTED_FUNCTIONS=_main,_malloc,_free", "-sEXPORTED_RUNTIME_METHODS=ccall,cwrap,UTF8ToString"),
    "exports something missing": ("-sEXPORTED_FUNCTIONS=_main,_absent",),
    "assertions": ("-sASSERTIONS=2",),
    "an ES6 module": ("-sEXPORT_ES6=1", "-sEXPORT_NAME=make"),
    "asyncify": ("-sASYNCIFY=1",),
    "big integers": ("-sWASM_BIGINT=1",),
    "caught exceptions": ("-sDISABLE_EXCEPTION_CATCHING=0",),
    "no RTTI": ("-fno-rtti", "-fno-exceptions"),
    "exceptions of WebAssembly": ("-fwasm-exceptions",),
    "fast mathematics": ("-ffast-math", "-fwrapv"),
    "SIMD": ("-msimd128", "-mbulk-memory"),
    "warnings as errors": ("-Wall", "-Werror"),
    "every warning": ("-Weverything",),
    "unused macros": ("-Wunused-macros",),
    "warnings of headers": ("-Wsystem-headers",),
    "standard C++11": ("-std=c++11",),
    "standard gnu++2b": ("-std=gnu++2b",),
}
DEBUG = {"debug information": ("-g",), "lines": ("-gline-tables-only",), "a source map": ("-gsource-map",), "names": ("-g2",)}
for about, arguments in SETTINGS.items():
    # A warning about all of a source is one about its preamble.
    known = 0 if any(one in arguments for one in ("-Weverything", "-Wunused-macros", "-Wsystem-headers")) else None
    cpp("settings: " + about, "#define UNUSED 1\n" + HELLO, *arguments, preambles=known)
for about, arguments in DEBUG.items():
    cpp("settings: " + about, HELLO, *arguments, preambles=0)
for about, arguments in {"every warning": "-Weverything", "unused macros": "-Wunused-macros", "reserved names": "-Wreserved-macro-identifier",
                         "keywords": "-Wkeyword-macro", "documentation": "-Wdocumentation"}.items():
    cpp("a macro and " + about, "/// \\param none\n#define _Reserved 1\n#define inline\n#include <cstdio>\n/// \\param b\nint f(int a) { return a; }\n"
        "int main() { return f(_Reserved); }\n", arguments, preambles=0)

# -- several files -----------------------------------------------------------------------------------------------------

add("several: two of C++", {"a.cpp": TWO + "int f(); int main() { return f(); }\n", "b.cpp": TWO + "int f() { return std::vector<int>(3)[1]; }\n"})
add("several: C and C++", {"a.cpp": TWO + "extern \"C\" int f(int); int main() { return f(3); }\n", "b.c": "#include <stdio.h>\nint f(int n) { return printf(\"%d\", n); }\n"})
add("several: in folders", {"src/a.cpp": TWO + "#include \"../include/a.hpp\"\nint main() { return f() + sizeof __FILE__; }\n",
                            "include/a.hpp": "#pragma once\nint f();\n", "src/b.cc": "#include <string>\n#include \"../include/a.hpp\"\nint f() { return std::string(\"x\").size(); }\n"})
add("several: of one name", {"a/x.cpp": "#include <vector>\nint f(); int main() { return f(); }\n", "b/x.cpp": "#include <vector>\nint f() { return 2; }\n"})
add("several: one with an error", {"a.cpp": TWO + "int f(); int main() { return f(); }\n", "b.cpp": TWO + "int f() { return }\n"})
add("several: a warning in each", {"a.cpp": TWO + "int f(); int g() { } int main() { return f(); }\n", "b.cpp": TWO + "int f() { }\n"})
add("several: defined twice", {"a.cpp": TWO + "int f() { return 1; } int main() { return f(); }\n", "b.cpp": TWO + "int f() { return 2; }\n"})
add("several: other endings", {"a.cxx": "#include <map>\nint f(); int main() { return f(); }\n", "b.cc": "#include <map>\nint f() { return 1; }\n", "c.cpp": "#include <set>\nint g;\n"})
add("several: a file inside", {"main.cpp": HELLO, "data.txt": "text\n"}, "--embed-file", "data.txt")
add("several: a file beside", {"main.cpp": HELLO, "data.txt": "text\n"}, "--preload-file", "data.txt")
add("several: a folder of headers", {"main.cpp": "#include <cstdio>\n#include <own.h>\nint main() { return own(); }\n", "include/own.h": "inline int own() { return 3; }\n"},
    "-Iinclude", preambles=0)

# -- C -----------------------------------------------------------------------------------------------------------------

OF_C = {
    "hello": "#include <stdio.h>\nint main(void) { puts(\"hi\"); return 0; }\n",
    "nothing": "\n",
    "no headers": "int main(void) { return 3; }\n",
    "arguments": "#include <stdio.h>\nint main(int c, char** v) { for (int i = 0; i < c; ++i) printf(\"%s\\n\", v[i]); }\n",
    "memory": "#include <stdlib.h>\n#include <string.h>\nint main(int c, char** v) { char* p = malloc(9); strncpy(p, v[0], 8); p = realloc(p, 99); free(p); return c; }\n",
    "files": "#include <stdio.h>\nint main(void) { FILE* f = fopen(\"a\", \"w\"); fprintf(f, \"%d\", 3); return fclose(f); }\n",
    "mathematics": "#include <math.h>\n#include <complex.h>\nint main(int c, char** v) { double complex z = c + 2 * I; return sin(c) + cabs(z); }\n",
    "jumps": "#include <setjmp.h>\nstatic jmp_buf b; static void f(void) { longjmp(b, 3); }\nint main(void) { int n = setjmp(b); if (!n) f(); return n; }\n",
    "pointers to functions": "#include <stdlib.h>\nstatic int f(const void* a, const void* b) { return *(int*)a - *(int*)b; }\nint main(void) { int a[] = {3, 1, 2}; qsort(a, 3, 4, f); return a[0]; }\n",
    "time": "#include <time.h>\n#include <stdio.h>\nint main(void) { time_t t = 0; printf(\"%s\", asctime(gmtime(&t))); return clock() > 3; }\n",
    "atomics": "#include <stdatomic.h>\n#include <threads.h>\natomic_int n; int main(void) { return atomic_fetch_add(&n, 2); }\n",
    "generic": "#include <tgmath.h>\n#define T(x) _Generic((x), int: 1, double: 2, default: 3)\nint main(void) { return T(1) + T(1.0) + T(\"\") + (int)sqrt(4.0f); }\n",
    "where it is": "#include <assert.h>\nint main(int c, char** v) { assert(c > 1); return sizeof __FILE__ + __LINE__ + __COUNTER__; }\n",
    "a byte order mark": "\ufeff#include <stdio.h>\nint main(void) { return puts(\"x\"); }\n",
    "CRLF": "#include <stdio.h>\r\n#define X \\\r\n 3\r\nint main(void) { return X; }\r\n",
    "a trigraph": "int main(void) ??< return 3; ??>\n",
    "old style": "int f(a, b) int a; char b; { return a + b; }\nmain() { return f(1, 2); }\n",
    "variable arrays": "int main(int c, char** v) { int a[c]; a[c - 1] = 3; return a[0]; }\n",
    "flexible arrays": "#include <stdlib.h>\nstruct a { int n; int x[]; }; int main(void) { struct a* p = malloc(20); p->x[2] = 3; return p->n + (struct a){.n = 4}.n; }\n",
    "EM_ASM": "#include <emscripten.h>\nint main(int c, char** v) { EM_ASM({ out($0); }, 7); return EM_ASM_DOUBLE({ return $0 / 2; }, c); }\n",
    "EM_ASM with an error": "#include <emscripten.h>\nint main(void) { EM_ASM({ out( ); }); EM_ASM({ var }); }\n",
    "EM_JS": "#include <emscripten.h>\nEM_JS(void, say, (const char* s), { out(UTF8ToString(s)); });\nint main(void) { say(\"x\"); }\n",
    "kept alive": "#include <emscripten.h>\nEMSCRIPTEN_KEEPALIVE int f(int n) { return n * 2; }\n",
    "a main loop": "#include <emscripten.h>\nstatic void f(void) {} int main(void) { emscripten_set_main_loop(f, 0, 1); }\n",
    "events": "#include <emscripten/html5.h>\nstatic EM_BOOL f(int t, const EmscriptenMouseEvent* e, void* u) { return e->clientX > t; }\nint main(void) { return emscripten_set_click_callback(\"#x\", 0, 1, f); }\n",
    "WebGL": "#include <GLES2/gl2.h>\nint main(void) { glClear(GL_COLOR_BUFFER_BIT); return glGetError(); }\n",
    "a warning": "int main(void) { int unused; return 0; }\n",
    "a warning: format": "#include <stdio.h>\nint main(int c, char** v) { printf(\"%s\\n\", c); }\n",
    "a warning: undeclared function": "int main(void) { return undeclared_by_all(1); }\n",
    "a warning: pointers": "int main(void) { char* p = 3; int* q = p; return *q; }\n",
    "an error": "#include <stdio.h>\nint main(void) { undeclared }\n",
    "an error: a header": "#include <nothing.h>\nint main(void) {}\n",
    "an error: C++": "#include <vector>\nint main() { std::vector<int> v; }\n",
    "an error: types": "struct a { int n; }; int main(void) { struct a x = 3; return x + 1; }\n",
    "the linker: missing": "int missing(void);\nint main(void) { return missing(); }\n",
    "the linker: other types": "extern double sin(double); int puts(int, int);\nint main(void) { return puts(1, 2) + sin(2); }\n",
}
for about, text in OF_C.items():
    c("C: " + about, text)
c("C: exports something missing", OF_C["hello"], "-sEXPORTED_FUNCTIONS=_absent")
c("C: longjmp without support", OF_C["jumps"], "-sSUPPORT_LONGJMP=0")
c("C: without a file system", OF_C["hello"], "-sFILESYSTEM=0", "-sMALLOC=emmalloc")
c("C: standalone", OF_C["no headers"], "-sSTANDALONE_WASM=1")
c("C: strict", OF_C["hello"], "-sSTRICT=1", "-sSAFE_HEAP=1")
c("C: debug information", OF_C["hello"], "-g")
c("C: a source map", OF_C["hello"], "-gsource-map")
add("C: several", {"a.c": "int f(void); int main(void) { return f(); }\n", "b.c": "#include \"b.h\"\nint f(void) { return N; }\n", "b.h": "#define N 3\n"})
add("C: several, defined twice", {"a.c": "int n = 1; int main(void) { return n; }\n", "b.c": "int n = 2;\n"})

assert len({one.name for one in PROGRAMS}) == len(PROGRAMS), "a name twice"
