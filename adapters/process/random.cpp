#include "adapters/process/random.hpp"

#include <cerrno>
#include <sys/random.h>
#include <system_error>

namespace sluice::process {

void fill_random(void* at, std::size_t bytes)
{
    for (auto* next = static_cast<char*>(at); bytes > 0;) {
        const auto got = ::getrandom(next, bytes, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            throw std::system_error(errno, std::generic_category(), "getrandom");
        next += got;
        bytes -= static_cast<std::size_t>(got);
    }
}

std::string random_hex(std::size_t bytes)
{
    static constexpr char digits[] = "0123456789abcdef";
    std::string raw(bytes, '\0'), text;
    fill_random(raw.data(), raw.size());
    for (const unsigned char byte : raw) {
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}

}
