#include "core/lease.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <cassert>

namespace sluice::core {

namespace {

constexpr int value_version = 1;
constexpr std::size_t unanswered_max = 8; // older ones would be past their ttl by now

}

lease_options lease_terms(milliseconds ttl) { return {ttl, ttl / 6, ttl / 4}; }

lease::lease(std::string worker, std::string session, lease_options with)
    : worker_(std::move(worker)), session_(std::move(session)), options_(with)
{
    assert(!worker_.empty() && !session_.empty());
    assert(options_.margin < options_.ttl && options_.renew_every < options_.ttl - options_.margin);
}

void lease::seen(const kv_entry& entry, mono_time now)
{
    if (entry.revision <= revision_)
        return;
    revision_ = entry.revision;
    changed_at_ = now;
    in_doubt_ = false;
    erased_ = entry.erased;
    problem_.clear();
    auto holder = entry.erased ? held_by{} : decode(entry.value);
    adopt(holder ? std::move(*holder) : held_by{}, now);
}

void lease::adopt(held_by holder, mono_time now)
{
    const bool before = mine();
    holder_ = std::move(holder);
    // It lives, so it is no former life of ours, whose lease would be free.
    taken_by_namesake_ = !mine() && holder_.worker == worker_ && (before || taken_by_namesake_);
    if (!mine()) {
        act_until_ = {};
        if (before)
            again_at_ = now; // that was of our renewals
        return;
    }
    if (!before)
        others_until_ = now;
    const auto sent =
        std::find_if(unanswered_.begin(), unanswered_.end(), [this](const sent_write& one) { return one.renewal == holder_.renewal; });
    if (sent != unanswered_.end()) {
        if (!leaving_) {
            act_until_ = std::max(act_until_, sent->at + options_.ttl - options_.margin);
            again_at_ = sent->at + options_.renew_every;
        }
        if (sent->renewal == renewals_)
            waiting_ = false; // the watcher was faster than the answer
        unanswered_.erase(unanswered_.begin(), sent + 1);
    }
}

void lease::written(std::uint64_t write, key_value::result<std::uint64_t> result, mono_time now)
{
    const auto sent = std::find_if(unanswered_.begin(), unanswered_.end(), [write](const sent_write& one) { return one.renewal == write; });
    if (sent == unanswered_.end())
        return; // known already, or given up
    const bool newest = write == renewals_;
    if (newest)
        waiting_ = false;
    // Stored is stored, whatever the number: a bucket that was made anew counts from 1.
    if (result && (*result > revision_ || revision_ == sent->known)) {
        revision_ = *result;
        changed_at_ = now;
        erased_ = in_doubt_ = false;
        adopt(sent->gives_back ? held_by{{}, {}, write, {}} : held_by{worker_, session_, write, options_.ttl}, now);
        if (leaving_)
            again_at_ = now;
    } else if (!result && newest) {
        in_doubt_ = result.error() == log_errc::wrong_sequence;
        if (!in_doubt_)
            again_at_ = now + options_.renew_every;
    }
}

void lease::read(const key_value::result<kv_entry>& result, mono_time now)
{
    waiting_ = in_doubt_ = false;
    again_at_ = now + (result ? milliseconds(0) : options_.renew_every);
    const bool overtaken = revision_ != known_at_read_; // by the watcher, while the answer was under way
    if (result) {
        if (!overtaken && result->revision < revision_)
            revision_ = 0; // the bucket is another one: made anew, or restored from a backup
        return seen(*result, now);
    }
    if (result.error() != log_errc::not_found || overtaken)
        return;
    revision_ = 0;
    if (erased_)
        return;
    erased_ = true;
    changed_at_ = now;
    adopt({}, now);
}

void lease::give_back(mono_time now) noexcept
{
    leaving_ = true;
    act_until_ = {};
    again_at_ = std::min(again_at_, now);
}

mono_time lease::claim_due() const
{
    const bool free = problem_.empty() && !erased_ && (holder_.worker.empty() || (holder_.worker == worker_ && !taken_by_namesake_));
    return free ? again_at_ : std::max(again_at_, changed_at_ + std::max(options_.ttl, holder_.ttl));
}

bool lease::claimable(mono_time now) const { return problem_.empty() && now >= claim_due(); }

lease::step lease::next(mono_time now)
{
    if (!known_ || (waiting_ && now < waiting_until_))
        return {};
    waiting_ = false;
    if (in_doubt_ && now >= again_at_) {
        waiting_ = true;
        waiting_until_ = now + options_.renew_every;
        known_at_read_ = revision_;
        return {step::kind::read, {}, 0, 0};
    }
    const bool act = mine() ? now >= again_at_ : !leaving_ && claimable(now);
    if (in_doubt_ || !act)
        return {};
    waiting_ = true;
    waiting_until_ = now + options_.renew_every;
    ++renewals_;
    if (unanswered_.size() == unanswered_max)
        unanswered_.erase(unanswered_.begin());
    unanswered_.push_back({renewals_, now, revision_, leaving_});
    const auto value = encode(leaving_ ? held_by{{}, {}, renewals_, {}} : held_by{worker_, session_, renewals_, options_.ttl});
    // An erased key is made again by create(), as one that never was.
    return {revision_ == 0 || erased_ ? step::kind::create : step::kind::update, value, revision_, renewals_};
}

std::optional<mono_time> lease::next_due() const
{
    if (!known_)
        return std::nullopt;
    if (waiting_)
        return waiting_until_;
    if (in_doubt_ || mine())
        return again_at_;
    if (leaving_ || !problem_.empty())
        return std::nullopt;
    return claim_due();
}

std::string lease::encode(const held_by& holder) const
{
    return boost::json::serialize(boost::json::object{{"version", value_version},
                                                      {"worker", holder.worker},
                                                      {"session", holder.session},
                                                      {"renewal", holder.renewal},
                                                      {"ttl_ms", holder.ttl.count()}});
}

std::optional<lease::held_by> lease::decode(std::string_view value)
{
    boost::system::error_code error;
    const auto json = boost::json::parse(value, error);
    const auto* object = error ? nullptr : json.if_object();
    const auto text = [object](const char* key) { return object && object->contains(key) ? object->at(key).if_string() : nullptr; };
    const auto number = [object](const char* key) { return object && object->contains(key) ? object->at(key).if_int64() : nullptr; };
    const auto *version = number("version"), *renewal = number("renewal"), *ttl = number("ttl_ms");
    if (!version || *version != value_version || !text("worker") || !text("session") || !renewal || !ttl) {
        problem_ = "the lease is unreadable, or of a newer release: " + std::string(value.substr(0, 200));
        return std::nullopt;
    }
    return held_by{std::string(*text("worker")), std::string(*text("session")), static_cast<std::uint64_t>(*renewal), milliseconds(*ttl)};
}

}
