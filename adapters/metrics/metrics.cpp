#include "adapters/metrics/metrics.hpp"

#include <prometheus/check_names.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <map>
#include <mutex>
#include <variant>

// prometheus-cpp's families own their children and leave dangling references to removed ones; a call that outlives its function must
// be able to count its end. So children are shared here, and only measuring and the text format are the library's.
namespace sluice::metrics {

struct counter::impl : prometheus::Counter {};
struct gauge::impl : prometheus::Gauge {};
struct histogram::impl : prometheus::Histogram {
    using Histogram::Histogram;
};

void counter::add(double n)
{
    if (impl_)
        impl_->Increment(n);
}

void gauge::set(double v)
{
    if (impl_)
        impl_->Set(v);
}

void gauge::add(double n)
{
    if (impl_)
        impl_->Increment(n);
}

void histogram::observe(double v)
{
    if (impl_)
        impl_->Observe(v);
}

namespace {

using child = std::variant<std::shared_ptr<counter::impl>, std::shared_ptr<gauge::impl>, std::shared_ptr<histogram::impl>>;

// The order of its alternatives.
constexpr std::array<prometheus::MetricType, std::variant_size_v<child>> types{
    prometheus::MetricType::Counter, prometheus::MetricType::Gauge, prometheus::MetricType::Histogram};

struct family {
    std::string help;
    std::size_t type = 0; // index of its children
    std::map<labels, child> children;
};

bool well_formed(const std::string& name, const labels& with)
{
    return prometheus::CheckMetricName(name)
        && std::all_of(with.begin(), with.end(), [](const auto& label) { return prometheus::CheckLabelName(label.first); });
}

prometheus::ClientMetric collect(const labels& with, const child& from)
{
    auto metric = std::visit([](const auto& measured) { return measured->Collect(); }, from);
    metric.label.reserve(with.size());
    for (const auto& [name, value] : with)
        metric.label.push_back({name, value});
    return metric;
}

}

struct registry::state {
    template <class Impl, class Make>
    std::shared_ptr<Impl> find_or_make(const std::string& name, const std::string& help, labels with, Make make)
    {
        using pointer = std::shared_ptr<Impl>;
        const std::size_t type = child(std::in_place_type<pointer>).index();
        assert(well_formed(name, with));
        std::sort(with.begin(), with.end()); // {a, b} and {b, a} are one child
        const std::lock_guard lock(mutex);
        auto& in = families.try_emplace(name, family{.help = help, .type = type, .children = {}}).first->second;
        assert(in.type == type && "one name, one type");
        auto& found = in.children[std::move(with)];
        auto& typed = std::get_if<pointer>(&found) ? std::get<pointer>(found) : found.emplace<pointer>();
        if (!typed)
            typed = make();
        return typed;
    }

    std::mutex mutex;
    std::map<std::string, family> families;
};

registry::registry() : state_(std::make_unique<state>()) {}
registry::~registry() = default;

counter registry::make_counter(const std::string& name, const std::string& help, const labels& with)
{
    counter made;
    made.impl_ = state_->find_or_make<counter::impl>(name, help, with, [] { return std::make_shared<counter::impl>(); });
    return made;
}

gauge registry::make_gauge(const std::string& name, const std::string& help, const labels& with)
{
    gauge made;
    made.impl_ = state_->find_or_make<gauge::impl>(name, help, with, [] { return std::make_shared<gauge::impl>(); });
    return made;
}

histogram registry::make_histogram(const std::string& name, const std::string& help, const labels& with)
{
    static const prometheus::Histogram::BucketBoundaries buckets{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10};
    histogram made;
    made.impl_ = state_->find_or_make<histogram::impl>(name, help, with, [] { return std::make_shared<histogram::impl>(buckets); });
    return made;
}

void registry::remove(const std::string& label, const std::string& value)
{
    const std::pair wanted(label, value);
    const std::lock_guard lock(state_->mutex);
    for (auto& [name, in] : state_->families)
        std::erase_if(in.children,
                      [&](const auto& entry) { return std::find(entry.first.begin(), entry.first.end(), wanted) != entry.first.end(); });
}

std::string registry::text() const
{
    std::vector<prometheus::MetricFamily> collected;
    const std::lock_guard lock(state_->mutex);
    for (const auto& [name, in] : state_->families) {
        if (in.children.empty())
            continue;
        auto& into = collected.emplace_back();
        into.name = name;
        into.help = in.help;
        into.type = types.at(in.type);
        for (const auto& [with, from] : in.children)
            into.metric.push_back(collect(with, from));
    }
    return prometheus::TextSerializer().Serialize(collected);
}

}
