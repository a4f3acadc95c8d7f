#include "adapters/asio/writable_watch.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <cerrno>
#include <fcntl.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace sluice {

struct writable_watch::state {
    explicit state(boost::asio::io_context& context) : descriptor(context) {}

    static void wait(const std::shared_ptr<state>& self)
    {
        self->descriptor.async_wait(boost::asio::posix::stream_descriptor::wait_write,
                                    [weak = std::weak_ptr(self)](boost::system::error_code error) {
                                        const auto held = weak.lock();
                                        if (!held || error || held->stopped)
                                            return;
                                        held->on_writable();
                                        if (!held->stopped)
                                            wait(held);
                                    });
    }

    boost::asio::posix::stream_descriptor descriptor;
    std::function<void()> on_writable;
    bool stopped = false;
};

writable_watch::writable_watch(loop& on, int fd, std::function<void()> on_writable) : state_(std::make_shared<state>(on.context()))
{
    const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        throw std::system_error(errno, std::system_category(), "watch a descriptor");
    boost::system::error_code error;
    state_->descriptor.assign(copy, error);
    if (error) {
        ::close(copy);
        throw std::system_error(error.value(), std::system_category(), "watch a descriptor");
    }
    state_->on_writable = std::move(on_writable);
    state::wait(state_);
}

writable_watch::~writable_watch()
{
    state_->stopped = true;
    boost::system::error_code ignored;
    state_->descriptor.close(ignored);
}

}
