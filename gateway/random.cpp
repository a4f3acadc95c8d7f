#include "gateway/random.hpp"

#include <cerrno>
#include <sys/random.h>
#include <system_error>

namespace sluice::gateway {

std::uint64_t random_source::next()
{
    if (used_ == page_.size()) {
        auto* at = reinterpret_cast<char*>(page_.data());
        for (std::size_t left = sizeof page_; left > 0;) {
            const auto got = ::getrandom(at, left, 0);
            if (got < 0 && errno == EINTR)
                continue;
            if (got <= 0)
                throw std::system_error(errno, std::generic_category(), "getrandom");
            at += got;
            left -= static_cast<std::size_t>(got);
        }
        used_ = 0;
    }
    return page_[used_++];
}

}
