// One recursive descent over the grammar of mangled names (Itanium C++ ABI, 5.1), with its tables of codes.
#include "compile/demangle.hpp"

#include "base/ascii.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace sandboxd::compile {

namespace {

// A type's text, which surrounds the name that it is the type of: int (*name)(char).
struct type_text {
    std::string before;
    std::string after{};
    bool function{false};  // or an array: a pointer to it needs parentheses
    bool pack{false};      // several types, separated by ", ":
    std::vector<std::string> elements{};
};

struct code_name {
    std::string_view code;
    std::string_view name;
};

constexpr code_name builtin_types[] = {
    {"v", "void"},
    {"w", "wchar_t"},
    {"b", "bool"},
    {"c", "char"},
    {"a", "signed char"},
    {"h", "unsigned char"},
    {"s", "short"},
    {"t", "unsigned short"},
    {"i", "int"},
    {"j", "unsigned int"},
    {"l", "long"},
    {"m", "unsigned long"},
    {"x", "long long"},
    {"n", "__int128"},
    {"y", "unsigned long long"},
    {"o", "unsigned __int128"},
    {"f", "float"},
    {"d", "double"},
    {"e", "long double"},
    {"g", "__float128"},
    {"z", "..."},
    {"Dn", "std::nullptr_t"},
    {"Di", "char32_t"},
    {"Ds", "char16_t"},
    {"Du", "char8_t"},
    {"Da", "auto"},
    {"Dc", "decltype(auto)"},
    {"Dh", "_Float16"},
};

constexpr code_name operators[] = {
    {"nw", " new"}, {"na", " new[]"}, {"dl", " delete"}, {"da", " delete[]"}, {"aw", " co_await"}, {"ps", "+"},
    {"ng", "-"},    {"ad", "&"},      {"de", "*"},       {"co", "~"},         {"pl", "+"},         {"mi", "-"},
    {"ml", "*"},    {"dv", "/"},      {"rm", "%"},       {"an", "&"},         {"or", "|"},         {"eo", "^"},
    {"aS", "="},    {"pL", "+="},     {"mI", "-="},      {"mL", "*="},        {"dV", "/="},        {"rM", "%="},
    {"aN", "&="},   {"oR", "|="},     {"eO", "^="},      {"ls", "<<"},        {"rs", ">>"},        {"lS", "<<="},
    {"rS", ">>="},  {"eq", "=="},     {"ne", "!="},      {"lt", "<"},         {"gt", ">"},         {"le", "<="},
    {"ge", ">="},   {"ss", "<=>"},    {"nt", "!"},       {"aa", "&&"},        {"oo", "||"},        {"pp", "++"},
    {"mm", "--"},   {"cm", ","},      {"pm", "->*"},     {"pt", "->"},        {"cl", "()"},        {"ix", "[]"},
};

constexpr code_name std_names[] = {
    {"Sa", "std::allocator"}, {"Sb", "std::basic_string"}, {"Ss", "std::string"},
    {"Si", "std::istream"},   {"So", "std::ostream"},      {"Sd", "std::iostream"},
};

constexpr code_name special_names[] = {
    {"TV", "vtable for "},         {"TT", "VTT for "}, {"TI", "typeinfo for "}, {"TS", "typeinfo name for "},
    {"GV", "guard variable for "},
};

constexpr std::string_view inline_namespace = "__2";  // libc++'s, as emcc has it

// The common names of the library's templates.
constexpr code_name well_known[] = {
    {"std::basic_string<char, std::char_traits<char>, std::allocator<char>>", "std::string"},
    {"std::basic_string<wchar_t, std::char_traits<wchar_t>, std::allocator<wchar_t>>", "std::wstring"},
    {"std::basic_string_view<char, std::char_traits<char>>", "std::string_view"},
    {"std::basic_ostream<char, std::char_traits<char>>", "std::ostream"},
    {"std::basic_istream<char, std::char_traits<char>>", "std::istream"},
    {"std::basic_iostream<char, std::char_traits<char>>", "std::iostream"},
};

const code_name* find_code(std::string_view text, const auto& table) noexcept
{
    const auto* found = std::ranges::find_if(table, [&](const code_name& row) { return text.starts_with(row.code); });
    return found == std::end(table) ? nullptr : found;
}

// A recursive descent over the grammar of the ABI. Each function takes its part off the front of rest_. Once failed_
// is set, the returned values are meaningless.
class demangler {
public:
    demangler(std::string_view mangled, const demangle_limits& limits) : rest_{mangled}, limits_{limits} {}

    std::optional<std::string> whole()
    {
        if (!take("_Z")) return std::nullopt;
        auto text = encoding();
        // What compilers append to clones of a function: ".isra.0".
        if (failed_ || !(rest_.empty() || rest_.starts_with('.'))) return std::nullopt;
        return text;
    }

private:
    class deeper {
    public:
        explicit deeper(demangler& self) : self_{self}
        {
            if (++self_.depth_ > self_.limits_.max_depth) self_.failed_ = true;
        }
        ~deeper() { --self_.depth_; }
        deeper(const deeper&) = delete;
        deeper& operator=(const deeper&) = delete;

    private:
        demangler& self_;
    };

    struct name_text {
        std::string text;
        std::string qualifiers{};   // of a member function: " const"
        bool from_template{false};  // ends with template arguments, so that the encoding begins with a return type
        bool no_return{false};      // a constructor, a destructor, a conversion
    };

    bool take(std::string_view begin) noexcept
    {
        if (!rest_.starts_with(begin)) return false;
        rest_.remove_prefix(begin.size());
        return true;
    }

    char peek(std::size_t at = 0) const noexcept { return at < rest_.size() ? rest_[at] : '\0'; }

    // Enforces the limits. Every kept text passes through here.
    std::string within(std::string text)
    {
        copied_ += text.size() + 1;
        if (text.size() > limits_.max_bytes || copied_ > limits_.max_copied_bytes) fail();
        return failed_ ? std::string{} : std::move(text);
    }

    void fail() noexcept { failed_ = true; }

    type_text within(type_text type)
    {
        type.before = within(std::move(type.before));
        type.after = within(std::move(type.after));
        return type;
    }

    std::size_t number()
    {
        std::size_t value = 0;
        if (!is_digit(peek())) fail();
        while (is_digit(peek())) {
            value = value * 10 + static_cast<std::size_t>(peek() - '0');
            rest_.remove_prefix(1);
            if (value > limits_.max_mangled_bytes) {
                fail();
                break;
            }
        }
        return value;
    }

    // <seq-id> _ : base 36, where nothing is 0 and 0 is 1.
    std::size_t sequence()
    {
        if (take("_")) return 0;
        std::size_t value = 0;
        while (!failed_ && !take("_")) {
            const char c = peek();
            if (!is_digit(c) && !is_upper(c)) {
                fail();
                break;
            }
            value = value * 36 + static_cast<std::size_t>(is_digit(c) ? c - '0' : c - 'A' + 10);
            rest_.remove_prefix(1);
            if (value > limits_.max_mangled_bytes) fail();
        }
        return value + 1;
    }

    // The enclosing function of a local name is written without its return type.
    std::string encoding(bool with_return = true)
    {
        const deeper one{*this};
        if (failed_) return {};
        if (const auto* special = find_code(rest_, special_names)) {
            rest_.remove_prefix(special->code.size());
            const std::string of = special->code == "GV" ? name().text : type_name();
            return within(std::string{special->name} + of);
        }
        auto named = name();
        if (failed_ || rest_.empty() || peek() == 'E' || peek() == '.') return within(named.text + named.qualifiers);
        type_text returned;
        if (named.from_template && !named.no_return) returned = type();
        if (!with_return) returned = {};
        std::string text = returned.before;
        if (!text.empty() && returned.after.empty()) text += ' ';
        text += named.text + '(' + parameters() + ')' + returned.after + named.qualifiers;
        return within(std::move(text));
    }

    // <type>+ up to the end or to E; void alone is nothing.
    std::string parameters()
    {
        std::string list;
        bool first = true;
        while (!failed_ && !rest_.empty() && peek() != 'E' && peek() != '.') {
            const auto one = type();
            const auto text = one.before + one.after;
            if (first && text == "void" && (rest_.empty() || peek() == 'E' || peek() == '.')) return {};
            if (one.pack && text.empty()) continue;
            if (!first) list += ", ";
            list += text;
            first = false;
            list = within(std::move(list));
        }
        return list;
    }

    name_text name()
    {
        const deeper one{*this};
        if (failed_) return {};
        if (peek() == 'N') return nested_name();
        if (peek() == 'Z') return local_name();
        name_text named;
        if (peek() == 'S' && peek(1) != 't') {
            named.text = substitution();
            if (peek() != 'I') fail();
        } else {
            const bool in_std = take("St");
            named = unqualified({});
            if (in_std) named.text = within("std::" + named.text);
            if (peek() == 'I') remember({.before = named.text});
        }
        if (peek() == 'I') {
            named.text = with_arguments(named.text);
            named.from_template = true;
        }
        return named;
    }

    // N [cv-qualifiers] [ref-qualifier] <prefix> <unqualified-name> E
    name_text nested_name()
    {
        take("N");
        name_text named;
        for (;; rest_.remove_prefix(1)) {
            if (peek() == 'K')
                named.qualifiers += " const";
            else if (peek() == 'V')
                named.qualifiers += " volatile";
            else if (peek() != 'r')
                break;
        }
        if (take("R"))
            named.qualifiers += " &";
        else if (take("O"))
            named.qualifiers += " &&";

        std::string last;  // the class's own name, which its constructors have
        bool any = false;
        while (!failed_ && !take("E")) {
            if (peek() == 'S' && peek(1) == 't') {
                rest_.remove_prefix(2);
                named.text = "std";
                any = true;
                continue;
            }
            if (peek() == 'S') {
                named.text = substitution();
                last = last_component(named.text);
                named.from_template = false;
            } else if (peek() == 'T') {
                named.text = template_parameter().before;
                remember({.before = named.text});
            } else if (peek() == 'I') {
                if (!any) fail();
                named.text = with_arguments(named.text);
                named.from_template = true;
                if (peek() != 'E') remember({.before = named.text});
            } else {
                auto part = unqualified(last);
                named.no_return = part.no_return;
                named.from_template = false;
                if (!part.no_return) last = part.text;
                // Readers do not need the name of an inline namespace.
                if (named.text == "std" && part.text == inline_namespace) {
                } else if (named.text.empty()) {
                    named.text = std::move(part.text);
                } else {
                    named.text = within(named.text + "::" + part.text);
                }
                if (peek() != 'E') remember({.before = named.text});
            }
            any = true;
        }
        if (!any) fail();
        return named;
    }

    // Z <encoding> E <name> [discriminator], Z <encoding> E s
    name_text local_name()
    {
        take("Z");
        // The inner and the outer name do not see each other's template arguments.
        auto outer = std::move(arguments_);
        arguments_.clear();
        auto text = encoding(false);
        arguments_ = std::move(outer);
        if (!take("E")) fail();
        name_text named;
        if (take("s")) {
            named.text = within(text + "::string literal");
        } else if (peek() == 'd') {
            fail();
        } else {
            auto inner = name();
            named.text = within(text + "::" + inner.text);
            named.qualifiers = inner.qualifiers;
            named.from_template = inner.from_template;
            named.no_return = inner.no_return;
        }
        if (take("__")) {
            number();
            if (!take("_")) fail();
        } else if (peek() == '_' && is_digit(peek(1))) {
            rest_.remove_prefix(2);
        }
        return named;
    }

    name_text unqualified(std::string_view class_name)
    {
        name_text named;
        take("L");  // of internal linkage
        if (is_digit(peek())) {
            named.text = source_name();
        } else if (peek() == 'C' && peek(1) >= '1' && peek(1) <= '5') {
            rest_.remove_prefix(2);
            named.text = std::string{class_name};
            named.no_return = true;
        } else if (peek() == 'D' && peek(1) >= '0' && peek(1) <= '5') {
            rest_.remove_prefix(2);
            named.text = "~" + std::string{class_name};
            named.no_return = true;
        } else if (take("Ul")) {
            named.text = "'lambda'(" + parameters() + ')';
            if (!take("E")) fail();
            if (!take("_")) {
                number();
                if (!take("_")) fail();
            }
        } else if (take("Ut")) {
            named.text = "'unnamed'";
            if (!take("_")) {
                number();
                if (!take("_")) fail();
            }
        } else if (take("cv")) {
            named.text = "operator " + type_name();
            named.no_return = true;
        } else if (take("li")) {
            named.text = "operator\"\" " + source_name();
        } else if (const auto* known = find_code(rest_, operators)) {
            rest_.remove_prefix(known->code.size());
            named.text = "operator" + std::string{known->name};
        } else {
            fail();
        }
        while (!failed_ && take("B")) named.text += "[abi:" + source_name() + ']';
        named.text = within(std::move(named.text));
        return named;
    }

    std::string source_name()
    {
        const auto length = number();
        if (failed_ || length == 0 || length > rest_.size()) {
            fail();
            return {};
        }
        const auto text = rest_.substr(0, length);
        rest_.remove_prefix(length);
        return within(text.starts_with("_GLOBAL__N") ? "(anonymous namespace)" : std::string{text});
    }

    std::string substitution()
    {
        if (const auto* known = find_code(rest_, std_names)) {
            rest_.remove_prefix(known->code.size());
            return std::string{known->name};
        }
        const auto type = substituted();
        return within(type.before + type.after);
    }

    type_text substituted()
    {
        if (!take("S")) fail();
        const auto index = sequence();
        if (failed_ || index >= known_.size()) {
            fail();
            return {};
        }
        return within(known_[index]);
    }

    type_text template_parameter()
    {
        if (!take("T")) fail();
        const auto index = sequence();
        if (failed_ || index >= arguments_.size()) {
            fail();
            return {};
        }
        const auto& argument = arguments_[index];
        if (!argument.pack || !expanding_) return within(argument);
        pack_size_ = argument.elements.size();
        return {.before = element_ < pack_size_ ? within(argument.elements[element_]) : std::string{}};
    }

    // Dp <type>: the type once for each element of the pack in it.
    type_text expansion()
    {
        if (expanding_) fail();
        const auto begin = rest_;
        const auto known = known_.size();
        expanding_ = true;
        pack_size_ = 1;
        type_text all{.before = {}, .pack = true};
        for (element_ = 0; !failed_ && (element_ == 0 || element_ < pack_size_); ++element_) {
            rest_ = begin;
            known_.resize(known);
            const auto one = type();
            if (pack_size_ == 0) continue;
            all.elements.push_back(one.before + one.after);
            all.before += (all.before.empty() ? "" : ", ") + all.elements.back();
            all = within(std::move(all));
        }
        expanding_ = false;
        return all;
    }

    std::string with_arguments(std::string text)
    {
        if (text.ends_with('<')) text += ' ';  // operator<
        return known_as(within(std::move(text) + template_arguments(true)));
    }

    // I <template-arg>* E. `outermost`: these are what T_ stands for.
    std::string template_arguments(bool outermost)
    {
        const deeper one{*this};
        if (failed_ || !take("I")) {
            fail();
            return {};
        }
        std::vector<type_text> found;
        while (!failed_ && !take("E")) found.push_back(template_argument());
        std::string list;
        for (const auto& argument : found) {
            const auto text = argument.before + argument.after;
            if (argument.pack && text.empty()) continue;
            list += list.empty() ? text : ", " + text;
        }
        if (outermost) arguments_ = std::move(found);
        return within('<' + list + '>');
    }

    type_text template_argument()
    {
        const deeper one{*this};
        if (failed_) return {};
        if (take("J")) {
            type_text pack{.before = {}, .pack = true};
            while (!failed_ && !take("E")) {
                const auto argument = template_argument();
                pack.elements.push_back(argument.before + argument.after);
                pack.before += (pack.before.empty() ? "" : ", ") + pack.elements.back();
                pack = within(std::move(pack));
            }
            return pack;
        }
        if (peek() == 'L') return {.before = literal()};
        if (peek() == 'X') fail();
        return type();
    }

    // L <type> <number> E, L_Z <encoding> E
    std::string literal()
    {
        take("L");
        if (take("_Z")) {
            auto text = encoding();
            if (!take("E")) fail();
            return text;
        }
        const auto type = type_name();
        std::string value;
        if (take("n")) value = "-";
        while (!failed_ && !take("E")) {
            if (!is_alphanumeric(peek()) || value.size() > 64) {
                fail();
                break;
            }
            value += peek();
            rest_.remove_prefix(1);
        }
        if (type == "bool") return value == "1" ? "true" : "false";
        if (type == "int") return value;
        if (type == "unsigned int") return value + 'u';
        if (type == "long") return value + 'l';
        if (type == "unsigned long") return value + "ul";
        if (type == "long long") return value + "ll";
        if (type == "unsigned long long") return value + "ull";
        return within('(' + type + ')' + value);
    }

    std::string type_name()
    {
        const auto one = type();
        return within(one.before + one.after);
    }

    type_text remember(type_text type)
    {
        if (known_.size() >= limits_.max_mangled_bytes) fail();
        known_.push_back(within(type));
        return type;
    }

    type_text type()
    {
        const deeper one{*this};
        if (failed_) return {};
        if (const auto* known = find_code(rest_, builtin_types)) {
            rest_.remove_prefix(known->code.size());
            return {.before = std::string{known->name}};
        }
        switch (peek()) {
            case 'r':
            case 'V':
            case 'K': return remember(qualified());
            case 'P':
            case 'R':
            case 'O': return remember(pointer());
            case 'F': return remember(function());
            case 'A': return remember(array());
            case 'M': return remember(member_pointer());
            case 'T': {
                auto parameter = remember(template_parameter());
                if (peek() != 'I') return parameter;
                return remember({.before = within(parameter.before + template_arguments(false))});
            }
            case 'D': {
                if (!take("Dp")) break;
                return expansion();
            }
            case 'S': {
                if (peek(1) == 't') break;
                type_text found;
                const bool standard = find_code(rest_, std_names) != nullptr;
                found = standard ? type_text{.before = substitution()} : substituted();
                if (peek() != 'I') return found;
                return remember({.before = known_as(within(found.before + template_arguments(false)))});
            }
            default: break;
        }
        const bool is_class = is_digit(peek()) || peek() == 'N' || peek() == 'Z' || (peek() == 'S' && peek(1) == 't');
        if (!is_class) {
            fail();
            return {};
        }
        // The template arguments of a parameter's class are not those of the function.
        auto outer = arguments_;
        auto named = name();
        arguments_ = std::move(outer);
        return remember({.before = known_as(std::move(named.text))});
    }

    type_text qualified()
    {
        std::string words;
        for (;; rest_.remove_prefix(1)) {
            if (peek() == 'K')
                words = " const" + words;
            else if (peek() == 'V')
                words = " volatile" + words;
            else if (peek() != 'r')
                break;
        }
        auto of = type();
        (of.function ? of.after : of.before) += words;
        return within(std::move(of));
    }

    type_text pointer()
    {
        const std::string_view sign = peek() == 'P' ? "*" : peek() == 'R' ? "&" : "&&";
        rest_.remove_prefix(1);
        auto of = type();
        // Reference collapsing: & wins over &&.
        if (sign.front() == '&' && of.before.ends_with('&')) {
            if (sign == "&" && of.before.ends_with("&&")) of.before.pop_back();
            return within(std::move(of));
        }
        if (of.function) {
            of.before += '(';
            of.after = ')' + of.after;
        }
        of.before += sign;
        of.function = false;
        return within(std::move(of));
    }

    type_text function()
    {
        take("F");
        take("Y");
        auto returned = type();
        type_text made{.before = std::move(returned.before), .function = true};
        made.before += ' ';
        made.after = '(' + parameters() + ')' + returned.after;
        if (!take("E")) fail();
        return within(std::move(made));
    }

    type_text array()
    {
        take("A");
        std::string size;
        while (is_digit(peek()) && size.size() < 20) {
            size += peek();
            rest_.remove_prefix(1);
        }
        if (!take("_")) fail();
        auto of = type();
        if (!of.function) of.before += ' ';
        of.after = '[' + size + ']' + of.after;
        of.function = true;
        return within(std::move(of));
    }

    type_text member_pointer()
    {
        take("M");
        const auto owner = type_name();
        auto of = type();
        of.before += (of.function ? "(" : " ") + owner + "::*";
        if (of.function) of.after = ')' + of.after;
        of.function = false;
        return within(std::move(of));
    }

    static std::string_view last_component(std::string_view text)
    {
        // "a::b<c::d>" → "b"
        std::size_t depth = 0;
        std::size_t begin = 0;
        for (std::size_t i = 0; i < text.size(); ++i) {
            if (text[i] == '<') {
                if (depth++ == 0 && text.find("::", i) == std::string_view::npos) return text.substr(begin, i - begin);
            } else if (text[i] == '>' && depth > 0) {
                --depth;
            } else if (depth == 0 && text.substr(i).starts_with("::")) {
                begin = i + 2;
            }
        }
        text.remove_prefix(begin);
        return text.substr(0, text.find('<'));
    }

    static std::string known_as(std::string text)
    {
        const auto* known = std::ranges::find(well_known, text, &code_name::code);
        return known == std::end(well_known) ? text : std::string{known->name};
    }

    std::string_view rest_;
    const demangle_limits& limits_;
    std::vector<type_text> known_;      // what S_ stands for
    std::vector<type_text> arguments_;  // what T_ stands for
    bool expanding_{false};             // a pack, of which element_ is due
    std::size_t element_{0};
    std::size_t pack_size_{0};
    std::size_t copied_{0};
    unsigned depth_{0};
    bool failed_{false};
};

constexpr bool is_of_a_name(char c) noexcept { return is_alphanumeric(c) || c == '_' || c == '$'; }

}  // namespace

std::optional<std::string> demangle(std::string_view mangled, const demangle_limits& limits)
{
    if (mangled.size() > limits.max_mangled_bytes) return std::nullopt;
    return demangler{mangled, limits}.whole();
}

std::string with_demangled_names(std::string_view text, std::size_t max_names, const demangle_limits& limits)
{
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const auto at = max_names == 0 ? std::string_view::npos : text.find("_Z");
        if (at == std::string_view::npos) break;
        auto end = at;
        while (end < text.size() && is_of_a_name(text[end])) ++end;
        // Names on the JavaScript side have one more underscore.
        const bool begins =
            at == 0 || !is_of_a_name(text[at - 1]) || (text[at - 1] == '_' && (at == 1 || !is_of_a_name(text[at - 2])));
        const auto plain = begins ? demangle(text.substr(at, end - at), limits) : std::nullopt;
        if (begins) --max_names;
        const bool underscore = plain && at > 0 && text[at - 1] == '_';
        out += text.substr(0, underscore ? at - 1 : at);
        out += plain ? std::string_view{*plain} : text.substr(at, end - at);
        text.remove_prefix(end);
    }
    out += text;
    return out;
}

}  // namespace sandboxd::compile
