#include "gateway/random.hpp"

#include "adapters/process/random.hpp"

namespace sluice::gateway {

std::uint64_t random_source::next()
{
    if (used_ == page_.size()) {
        process::fill_random(page_.data(), sizeof page_);
        used_ = 0;
    }
    return page_[used_++];
}

}
