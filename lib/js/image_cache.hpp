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
//
// The client who holds the most gives way (admission/client_shares.hpp), with what he used longest ago: nobody
// displaces the images of others by bringing many.
#pragma once

#include "admission/client_shares.hpp"
#include "base/client_key.hpp"

#include <cstddef>
#include <limits>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::js {

class image_cache {
public:
    // 0 switches it off.
    explicit image_cache(std::size_t max_bytes)
        : max_bytes_{max_bytes}, shares_{{.count = std::numeric_limits<std::size_t>::max(), .bytes = max_bytes}}
    {
    }

    // Takes the image of `id` out of the cache. Nullopt when there is none; an image of another init script is
    // dropped.
    std::optional<std::string> take(std::string_view id, std::string_view init_script);

    // Keeps an image for the client and replaces an older one of the same id. It is not kept if it is larger than the
    // whole cache, if the client would then hold the most and has nothing else to lose, or if too many had to go.
    void put(const client_key& client, std::string_view id, std::string_view init_script, std::string image);

    std::size_t bytes() const noexcept { return shares_.all().bytes; }
    std::size_t size() const noexcept { return by_id_.size(); }

private:
    struct entry {
        client_key client;
        std::string id;
        std::string init_script;
        std::string image;
        std::size_t bytes() const noexcept { return id.size() + init_script.size() + image.size(); }
    };
    using place = std::list<entry>::iterator;
    void erase(place which);
    // The same, where its bytes no longer count.
    void forget(place which);

    std::size_t max_bytes_;
    admission::client_shares shares_;
    std::map<client_key, std::list<entry>> by_client_;  // the latest first
    std::map<std::string_view, place> by_id_;
};

}  // namespace sandboxd::js
