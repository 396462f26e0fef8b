#include "compile/demangle.hpp"

#include "base/utf8.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <string>
#include <string_view>

using namespace sandboxd;
using namespace sandboxd::compile;

TEST_CASE("names of C++ are written as people write them", "[compile][demangle]")
{
    struct row {
        const char* mangled;
        const char* name;
    };
    const row rows[] = {
        {"_Z3addii", "add(int, int)"},
        {"_Z7nowherev", "nowhere()"},
        {"_Z1gPKcz", "g(char const*, ...)"},
        {"_ZN5ShapeC1Ev", "Shape::Shape()"},
        {"_ZN5ShapeD0Ev", "Shape::~Shape()"},
        {"_ZNK5Shape4areaEv", "Shape::area() const"},
        {"_ZTV5Shape", "vtable for Shape"},
        {"_ZTI5Shape", "typeinfo for Shape"},
        {"_ZN5Shape5countE", "Shape::count"},
        {"_ZN1AD1Ev.isra.0", "A::~A()"},
        {"_ZN12_GLOBAL__N_14hideEv", "(anonymous namespace)::hide()"},
        // libc++ as emcc has it.
        {"_Z1fNSt3__212basic_stringIcNS_11char_traitsIcEENS_9allocatorIcEEEERKNS_6vectorIS5_NS3_IS5_EEEE",
         "f(std::string, std::vector<std::string, std::allocator<std::string>> const&)"},
        {"_ZlsRNSt3__213basic_ostreamIcNS_11char_traitsIcEEEERK5Point", "operator<<(std::ostream&, Point const&)"},
        {"_ZNSt3__24coutE", "std::cout"},
        {"_Z4sortRNSt3__26vectorIiNS_9allocatorIiEEEEPFbiiE",
         "sort(std::vector<int, std::allocator<int>>&, bool (*)(int, int))"},
        {"_Z3runNSt3__28functionIFviEEE", "run(std::function<void (int)>)"},
        // Templates, their arguments, packs.
        {"_Z3maxIiET_S0_S0_", "int max<int>(int, int)"},
        {"_ZN5StackIiE4pushERKi", "Stack<int>::push(int const&)"},
        {"_ZN5StackIdEC2Ev", "Stack<double>::Stack()"},
        {"_Z1fILi3ELb1EEvv", "void f<3, true>()"},
        {"_Z5printIJidPKcEEvDpT_", "void print<int, double, char const*>(int, double, char const*)"},
        {"_Z5printIJidEEvDpRKT_", "void print<int, double>(int const&, double const&)"},
        {"_Z5printIJEEvDpT_", "void print<>()"},
        // What types there are.
        {"_Z1fPFivEPA3_iM1AFvvEMS3_i", "f(int (*)(), int (*)[3], void (A::*)(), int A::*)"},
        {"_Z1fRA10_KcOi", "f(char const (&)[10], int&&)"},
        {"_Z1fPKPVi", "f(int volatile* const*)"},
        {"_ZN1AcviEv", "A::operator int()"},
        {"_ZN1AclEv", "A::operator()()"},
        {"_ZN1AltIiEEbT_", "bool A::operator< <int>(int)"},
        {"_Zli3_kmy", "operator\"\" _km(unsigned long long)"},
        {"_ZZ4mainEN3FooC2Ev", "main::Foo::Foo()"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.mangled);
        CHECK(demangle(row.mangled).value_or("-") == row.name);
    }
}

TEST_CASE("what is no mangled name stays as it is", "[compile][demangle]")
{
    for (const char* text : {"",
                             "main",
                             "_Z",
                             "_Z3",
                             "_Z3ad",
                             "_Z3addq",
                             "_Z3addiiX",
                             "_ZN",
                             "_ZNE",
                             "_ZN1AE1",
                             "_ZS_",
                             "_Z1fS_",
                             "_Z1fT_",
                             "_Z1fS99999999999999999999_",
                             "_Z99999999999999999999a",
                             "_ZN1AIiE",
                             "_ZL",
                             "_Z0",
                             "__Z3addii",
                             "_Z1fXadL_Z1gvEE",
                             "_Z1fDTE",
                             "_Z1fIJ",
                             "_Z1f\xff"}) {
        CAPTURE(text);
        CHECK(demangle(text) == std::nullopt);
    }
    CHECK(with_demangled_names("no _Z3addii, my_Z3addii nor _Z3addiX") == "no add(int, int), my_Z3addii nor _Z3addiX");
    CHECK(with_demangled_names("__Z3addii and `_Z1fv`") == "add(int, int) and `f()`");
    CHECK(with_demangled_names("_Z1fv _Z1gv _Z1hv", 2) == "f() g() _Z1hv");
}

// Without bounds each of these stands for 2^n bytes, or for as many steps: what is measured is that they come to an
// end, and that nothing long comes back.
TEST_CASE("a name costs no more than its limits", "[compile][demangle]")
{
    std::string doubling = "_Z1f1AIiE";
    for (int i = 0; i < 60; ++i)
        doubling += "1BIS" + (i == 0 ? std::string{} : std::string(1, static_cast<char>('0' + i % 9))) + "_S_E";
    std::string nested = "_Z1f";
    for (int i = 0; i < 500; ++i) nested += "1AI";
    std::string pointers = "_Z1f" + std::string(1500, 'P') + "i";
    std::string functions = "_Z1f";
    for (int i = 0; i < 400; ++i) functions += "PFv";
    std::string references = "_Z1f1AIJ";
    for (int i = 0; i < 30; ++i) references += "1BIJ";
    std::string pack = "_Z1fIJ" + std::string(400, 'i') + "EEv";
    for (int i = 0; i < 100; ++i) pack += "DpT_";
    // Each names the one before twice: 1A, B<A, A>, B<B<A, A>, B<A, A>>, …
    std::string powers = "_Z1f1AIiE";
    for (int i = 1; i < 40; ++i) {
        const std::string digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
        const auto before = 2 * i - 1;
        const std::string index =
            before < 36 ? std::string(1, digits[before]) : std::string{digits[before / 36]} + digits[before % 36];
        powers += "1BIS" + index + "_S" + index + "_E";
    }
    for (const auto& mangled :
         {doubling, nested, pointers, functions, references, pack, powers, "_Z" + std::string(5000, 'L'),
          "_Z1f" + std::string(1000, 'K') + "i", "_Z1fv" + std::string(1 << 20, '.')}) {
        CAPTURE(mangled.substr(0, 60));
        const auto plain = demangle(mangled);
        CHECK(plain.value_or("").size() <= demangle_limits{}.max_bytes);
        std::string many;
        for (int i = 0; i < 50; ++i) many += mangled.substr(0, 2000) + ' ';
        CHECK(with_demangled_names(many).size() <= many.size() + 16 * demangle_limits{}.max_bytes);
    }
    CHECK(demangle("_Z3addii", {.max_mangled_bytes = 7}) == std::nullopt);
    CHECK(demangle("_Z3addii", {.max_bytes = 12}) == std::nullopt);
    CHECK(demangle("_Z3addii", {.max_copied_bytes = 10}) == std::nullopt);
    CHECK(demangle("_Z1fPPPPi", {.max_depth = 4}) == std::nullopt);
}
