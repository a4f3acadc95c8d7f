#pragma once
#include <stdexcept>
#include <sys/resource.h>
#include <unistd.h>

namespace sluice::test {

// While it lives, this process can open no further descriptor.
class no_descriptors_left {
public:
    no_descriptors_left()
    {
        const int next = ::dup(0); // the lowest that is free
        if (next < 0 || ::close(next) != 0 || ::getrlimit(RLIMIT_NOFILE, &before_) != 0)
            throw std::runtime_error("a test could not look at its descriptors");
        rlimit now = before_;
        now.rlim_cur = static_cast<rlim_t>(next);
        if (::setrlimit(RLIMIT_NOFILE, &now) != 0)
            throw std::runtime_error("a test could not lower its limit on descriptors");
    }
    ~no_descriptors_left() { ::setrlimit(RLIMIT_NOFILE, &before_); }
    no_descriptors_left(const no_descriptors_left&) = delete;
    no_descriptors_left& operator=(const no_descriptors_left&) = delete;

private:
    rlimit before_{};
};

}
