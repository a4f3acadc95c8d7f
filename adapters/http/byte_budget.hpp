#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

// How many bytes of bodies may be held at once, over all connections that share a budget. A body's bound and the bound on connections
// multiply to more than a machine has; this is what bounds their product. Loop thread only.
namespace sluice::http {

// Bodies up to this size are not counted: connections_max bounds them, and large ones cannot keep them out.
inline constexpr std::uint64_t uncounted_bytes_max = 16 * 1024;

class byte_budget {
public:
    explicit byte_budget(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}
    std::uint64_t bytes_max() const noexcept { return bytes_max_; }
    std::uint64_t held() const noexcept { return held_; }

private:
    friend class byte_share;
    std::uint64_t bytes_max_;
    std::uint64_t held_ = 0;
};

// Assigning an empty string keeps the memory.
inline void release_memory(std::string& buffer) noexcept { std::string().swap(buffer); }

// One body's part of a budget, given back at the end of its life.
class byte_share {
public:
    byte_share() = default;
    byte_share(const byte_share&) = delete;
    byte_share& operator=(const byte_share&) = delete;
    ~byte_share() { reset(); }

    // Whether this part could grow to that many bytes now. No budget: no bound.
    bool finds_room(const std::shared_ptr<byte_budget>& of, std::uint64_t bytes) const noexcept
    {
        if (!of || bytes <= std::max(bytes_, uncounted_bytes_max))
            return true;
        return of->held_ <= of->bytes_max_ && bytes - bytes_ <= of->bytes_max_ - of->held_;
    }
    // False where the budget has no room, and nothing has changed.
    [[nodiscard]] bool grow_to(const std::shared_ptr<byte_budget>& of, std::uint64_t bytes)
    {
        if (!finds_room(of, bytes))
            return false;
        take(of, bytes);
        return true;
    }
    // For what is there already, with or without room: the next one finds less.
    void take(const std::shared_ptr<byte_budget>& of, std::uint64_t bytes)
    {
        if (!of || bytes <= std::max(bytes_, uncounted_bytes_max))
            return;
        of->held_ += bytes - bytes_;
        bytes_ = bytes;
        of_ = of;
    }
    void reset() noexcept
    {
        if (of_)
            of_->held_ -= bytes_;
        of_ = nullptr;
        bytes_ = 0;
    }

private:
    std::shared_ptr<byte_budget> of_;
    std::uint64_t bytes_ = 0;
};

}
