// Keeps initialised sandboxes between two requests: their images, by the client's id. Best effort: an image may be
// dropped at any time; the request then starts from its init script.
//
// An image is taken out while a request runs on it, so a concurrent request with the same id gets a
// fresh sandbox, and no image ever serves two ids. It is good for one init script only.
//
// The images are kept in the server and not in the workers. So a worker holds only the sandbox that it runs, and a
// script that takes over its worker finds no other; any worker can continue any sandbox; and a worker's memory does
// not grow. The price is that an image travels over the socket, so it contains only the differences from the boot
// image.
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

    // Takes the image of `id` out of the cache. Nullopt when there is none; an image of another init script is
    // dropped.
    std::optional<std::string> take(std::string_view id, std::string_view init_script);

    // Keeps an image and replaces an older one of the same id; the least recently used ones make room. An image
    // larger than the whole cache is not kept.
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
