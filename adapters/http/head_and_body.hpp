#pragma once
#include <boost/asio/buffer.hpp>
#include <boost/system/error_code.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

namespace sluice::http {

// Writes what is left of a head and the body behind it, as if they were one, in one system call. `written` counts over both; returns true
// once everything is. Else see the error; would_block: again when the socket takes more.
template <class Socket>
bool write_rest(Socket& to, std::string_view head, std::string_view body, std::size_t& written, boost::system::error_code& error)
{
    const auto total = head.size() + body.size();
    error.clear();
    while (written < total && !error) {
        const auto head_left = head.substr(std::min(written, head.size()));
        const auto body_left = body.substr(written - std::min(written, head.size()));
        if (body_left.empty()) {
            written += to.write_some(boost::asio::buffer(head_left.data(), head_left.size()), error);
        } else {
            const std::array<boost::asio::const_buffer, 2> rest{boost::asio::buffer(head_left.data(), head_left.size()),
                                                                boost::asio::buffer(body_left.data(), body_left.size())};
            written += to.write_some(rest, error);
        }
    }
    return written == total;
}

}
