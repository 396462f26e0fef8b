// What the builder of a jail has said about this host, in the output that else is the program's.
#pragma once

#include "process/child.hpp"

#include <boost/asio/awaitable.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::jail {

// Keeps back what the builder of a jail may have said, until it is known who said it. `begins`: how the builder's
// messages begin.
class first_words final : public process::output_taker {
public:
    first_words(process::output_taker& to, std::vector<std::string> begins);
    virtual ~first_words() = default;

    boost::asio::awaitable<void> take(process::output_stream which, std::string_view piece) override;

    // Whoever said it, it is the program's from now on.
    boost::asio::awaitable<void> pass_on();

    const std::string& text() const noexcept { return text_; }

private:
    static constexpr std::size_t most_kept = 4096;

    bool may_be_builders() const noexcept;

    process::output_taker& to_;
    std::vector<std::string> begins_;
    process::output_stream which_{process::output_stream::err};
    std::string text_;
    bool over_{false};
};

// How sandboxd-init begins what it says when it cannot start the program (--word). `word`: nobody inside knows it.
std::string beginning_of_init(std::string_view word);

// What sandboxd-init has said in `output`, without the word. Nullopt: nothing, or `word` is empty.
std::optional<std::string> words_of_init(std::string_view output, std::string_view word);

}  // namespace sandboxd::jail
