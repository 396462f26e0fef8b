#include "jail/first_words.hpp"

#include <algorithm>
#include <utility>

namespace asio = boost::asio;

namespace sandboxd::jail {

first_words::first_words(process::output_taker& to, std::vector<std::string> begins)
    : to_{to}, begins_{std::move(begins)}
{
}

bool first_words::may_be_builders() const noexcept
{
    return text_.size() <= most_kept && std::ranges::any_of(begins_, [this](std::string_view begin) {
               const auto known = std::min(text_.size(), begin.size());
               return std::string_view{text_}.substr(0, known) == begin.substr(0, known);
           });
}

asio::awaitable<void> first_words::take(process::output_stream which, std::string_view piece)
{
    if (over_) co_return co_await to_.take(which, piece);
    const bool same = text_.empty() || which == which_;
    if (same) {
        which_ = which;
        text_ += piece;
        if (may_be_builders()) co_return;
    }
    co_await pass_on();
    if (!same) co_await to_.take(which, piece);
}

asio::awaitable<void> first_words::pass_on()
{
    over_ = true;
    if (!text_.empty()) co_await to_.take(which_, std::exchange(text_, {}));
}

std::string beginning_of_init(std::string_view word) { return "sandboxd-init " + std::string{word} + ": "; }

std::optional<std::string> words_of_init(std::string_view output, std::string_view word)
{
    if (word.empty()) return std::nullopt;
    const auto begin = beginning_of_init(word);
    const auto at = output.find(begin);
    if (at == std::string_view::npos) return std::nullopt;
    const auto rest = output.substr(at + begin.size());
    return "sandboxd-init: " + std::string{rest.substr(0, rest.find('\n'))};
}

}  // namespace sandboxd::jail
