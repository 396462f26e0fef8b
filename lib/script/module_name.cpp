#include "script/module_name.hpp"

#include <vector>

namespace sandboxd::script {

std::string module_name(std::string_view name)
{
    std::vector<std::string_view> parts;
    for (;;) {
        const auto slash = name.find('/');
        const auto part = name.substr(0, slash);
        if (part == "..") {
            if (!parts.empty()) parts.pop_back();
        } else if (part != ".") {
            parts.push_back(part);
        }
        if (slash == std::string_view::npos) break;
        name.remove_prefix(slash + 1);
    }
    std::string made;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        if (i > 0) made += '/';
        made += parts[i];
    }
    return made;
}

}  // namespace sandboxd::script
