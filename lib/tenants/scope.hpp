// What a key may be used for, and what an endpoint asks of a key.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::tenants {

enum class scope : std::uint8_t {
    compile,
    execute,
    sandbox,
    deploy,
    admin,
    keys,  // makes keys of every scope, so it is as strong as all together
};
inline constexpr std::size_t scope_count = 6;

// As the keys file and challenges have it.
std::string_view name(scope one) noexcept;
// Nullopt: there is none of this name.
std::optional<scope> scope_named(std::string_view name) noexcept;
// For messages: "compile, execute, sandbox, deploy, admin, keys".
std::string all_scope_names();

class scope_set {
public:
    constexpr void add(scope one) noexcept { bits_ |= bit(one); }
    constexpr bool has(scope one) const noexcept { return (bits_ & bit(one)) != 0; }
    constexpr bool empty() const noexcept { return bits_ == 0; }
    bool operator==(const scope_set&) const = default;

private:
    static constexpr std::uint8_t bit(scope one) noexcept
    {
        return static_cast<std::uint8_t>(1U << static_cast<unsigned>(one));
    }

    std::uint8_t bits_{0};
};

// Who may ask an endpoint. It has no default, so that every row of the table of routes decides.
class access {
public:
    enum class kind : std::uint8_t {
        open,      // everybody
        any_key,   // whoever has a key
        scoped,    // whoever has a key with the scope
        artifact,  // whoever knows the id; with auth.openArtifacts false, a key with the scope
    };

    // NOLINTNEXTLINE(google-explicit-constructor): a row names the scope
    constexpr access(scope needed) noexcept : is_{kind::scoped}, needed_{needed} {}
    static constexpr access open() noexcept { return access{kind::open, scope::admin}; }
    static constexpr access any_key() noexcept { return access{kind::any_key, scope::admin}; }
    static constexpr access artifact() noexcept { return access{kind::artifact, scope::compile}; }

    // What it is on a server whose artifacts are open, or are not: never `artifact`.
    constexpr access settled(bool artifacts_are_open) const noexcept
    {
        if (is_ != kind::artifact) return *this;
        return artifacts_are_open ? open() : access{needed_};
    }

    constexpr bool is_open() const noexcept { return is_ == kind::open; }
    constexpr std::optional<scope> needed() const noexcept
    {
        return is_ == kind::scoped ? std::optional{needed_} : std::nullopt;
    }

private:
    constexpr access(kind is, scope needed) noexcept : is_{is}, needed_{needed} {}

    kind is_;
    scope needed_;
};

}  // namespace sandboxd::tenants
