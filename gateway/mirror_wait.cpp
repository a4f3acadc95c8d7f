#include "gateway/mirror_wait.hpp"

#include <algorithm>
#include <utility>

namespace sluice::gateway {

struct mirror_wait::ticket {
    bool heard = false;
    std::function<void()> then;
    std::unique_ptr<timer> limit;
    std::shared_ptr<ticket> self; // while somebody waits for it

    void finish()
    {
        heard = true;
        if (!then)
            return;
        const auto keep = std::move(self);
        limit.reset();
        std::exchange(then, nullptr)();
    }
};

mirror_wait::ticket_ptr mirror_wait::expect(const std::string& key)
{
    auto made = std::make_shared<ticket>();
    const auto expired = [](const auto& each) { return each.expired(); };
    constexpr std::size_t keys_before_sweep = 1000;
    if (waiting_.size() > keys_before_sweep)
        std::erase_if(waiting_, [&](const auto& entry) { return std::all_of(entry.second.begin(), entry.second.end(), expired); });
    auto& list = waiting_[key];
    std::erase_if(list, expired);
    list.push_back(made);
    return made;
}

void mirror_wait::when_heard(const ticket_ptr& of, std::function<void()> then)
{
    if (of->heard)
        return then();
    of->then = std::move(then);
    of->self = of;
    of->limit = std::make_unique<timer>(loop_);
    of->limit->after(deadline_, [raw = of.get()] { raw->finish(); });
}

void mirror_wait::heard(const std::string& key)
{
    const auto at = waiting_.find(key);
    if (at == waiting_.end())
        return;
    const auto list = std::move(at->second);
    waiting_.erase(at);
    for (const auto& each : list)
        if (auto held = each.lock())
            held->finish();
}

void mirror_wait::close()
{
    while (!waiting_.empty())
        heard(std::string(waiting_.begin()->first));
}

}
