// A file in memory where the builder of a jail writes what it has to say for itself. It cannot be reached from inside,
// so what is in it is the builder's word and not the program's.
#pragma once

#include "base/errc.hpp"
#include "base/unique_fd.hpp"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace sandboxd::jail {

class builder_log {
public:
    // `others`: what is passed, too (spec::pass_fds). Its number is above theirs, so that no builder hands it on to the
    // program. Error: `internal`.
    static result<builder_log> make(const std::vector<std::pair<int, int>>& others);

    // For the builder's command line. A new description is opened by it, whatever uid the builder has.
    std::string path() const { return "/proc/self/fd/" + std::to_string(number_); }
    // For process::command::pass_fds, as long as this lives.
    std::pair<int, int> passed() const { return {file_->get(), number_}; }

    // What is in it so far, of its first 16 KiB.
    std::string text() const;

private:
    builder_log(unique_fd file, int number) : file_{std::make_shared<const unique_fd>(std::move(file))}, number_{number}
    {
    }

    std::shared_ptr<const unique_fd> file_;
    int number_;
};

}  // namespace sandboxd::jail
