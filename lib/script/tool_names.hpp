// Names of tools, as requests give them and as scripts call them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace sandboxd::script {

inline constexpr std::uint32_t longest_tool_name{128};  // in bytes
inline constexpr std::size_t most_tool_parts{8};

// What is wrong with the names, as the end of a sentence that begins with the member they come from; empty: nothing.
//
// A name is one identifier of ASCII or several with dots between (`search`, `orders.get`). No part begins with two
// underscores or is a property that the language itself looks up in objects (`then`, `constructor`, `toJSON`, …). No
// name comes twice, and none is the beginning of another's path: `orders` cannot be both a function and an object.
std::string fault_of_tool_names(std::span<const std::string> names);

}  // namespace sandboxd::script
