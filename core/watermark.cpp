#include "core/watermark.hpp"

#include <algorithm>
#include <cassert>

namespace sluice::core {

void watermark::read(std::uint64_t sequence, std::uint32_t bytes)
{
    assert(sequence >= base_ + settled_.size());
    settled_.resize(sequence - base_, true);
    settled_.push_back(false);
    live_bytes_ += bytes;
    while (!settled_.empty() && settled_.front()) {
        settled_.pop_front();
        ++base_;
    }
}

void watermark::settled(std::uint64_t sequence, std::uint32_t bytes)
{
    assert(sequence >= base_ && sequence < base_ + settled_.size() && !settled_[sequence - base_]);
    settled_[sequence - base_] = true;
    live_bytes_ -= bytes;
    dead_bytes_ += bytes;
    while (!settled_.empty() && settled_.front()) {
        settled_.pop_front();
        ++base_;
    }
}

std::uint64_t watermark::purge_target(std::uint64_t step_max, std::uint64_t bytes_min) const noexcept
{
    if (base_ <= purged_ || dead_bytes_ < bytes_min || dead_bytes_ <= live_bytes_)
        return 0;
    return std::min(base_, purged_ + step_max);
}

void watermark::purged(std::uint64_t below) noexcept
{
    if (below <= purged_ || below > base_)
        return;
    // Message sizes are not kept for the settled ones: the mean of those below the watermark stands for them.
    dead_bytes_ -= dead_bytes_ * (below - purged_) / (base_ - purged_);
    purged_ = below;
}

}
