// Initialised sandboxes between two requests: their images, by the client's id. Best effort: what
// is here may be gone at any time, and the request then starts from its init script.
//
// An image is taken out while a request runs on it, so a concurrent request with the same id gets a
// fresh sandbox, and no image ever serves two ids. It is good for one init script only.
//
// The images are kept here, in the server, and not in the workers: a worker then never holds more
// than the one sandbox that it runs, so a script that took over its worker finds nobody else's; any
// worker can go on with any sandbox; and what a worker keeps does not grow. The price is that an
// image travels over the socket, which is why it is only what differs from the boot image.
#pragma once

#include <cstddef>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::js {

class image_cache {
public:
    // 0 switches it off.
    explicit image_cache(std::size_t max_bytes) : max_bytes_{max_bytes} {}

    // The image of `id`, which is then no longer here. Empty when there is none; one that was made
    // with another init script is thrown away.
    std::optional<std::string> take(std::string_view id, std::string_view init_script);

    // Keeps an image, in place of an older one of the same id; what was used longest ago makes
    // room. One that is larger than the whole cache is not kept.
    void put(std::string_view id, std::string_view init_script, std::string image);

    std::size_t bytes() const noexcept { return bytes_; }
    std::size_t size() const noexcept { return entries_.size(); }

private:
    struct entry {
        std::string id;
        std::string init_script;
        std::string image;
        std::size_t bytes() const noexcept { return id.size() + init_script.size() + image.size(); }
    };
    void erase(std::list<entry>::iterator place);

    std::size_t max_bytes_;
    std::size_t bytes_{0};
    std::list<entry> entries_;  // the latest first
    std::map<std::string_view, std::list<entry>::iterator> by_id_;
};

}  // namespace sandboxd::js
