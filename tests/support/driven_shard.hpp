#pragma once
#include "core/shard.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <variant>

// A core::shard driven by hand over one partition in memory, for examples: what concerns the store is performed at once unless the test holds
// it back, what concerns functions and receivers is kept for the test to answer. Several may share a store, as owners that follow each other.
namespace sluice::testing_support {

// One partition's log and journal, as the server keeps them.
struct stored_partition {
    struct stream {
        std::vector<log_message> messages; // by sequence - 1; purged ones stay here, below `first`
        std::uint64_t first = 1;
        std::uint64_t bytes_max = 0; // 0: unbounded
        log_info info() const { return {first, messages.size(), messages.size() + 1 - first, bytes(), bytes_max}; }
        std::uint64_t bytes() const // as a server counts: something is kept beside each payload
        {
            std::uint64_t sum = 0;
            for (auto at = first; at <= messages.size(); ++at)
                sum += messages[at - 1].payload.size() + 200;
            return sum;
        }
        boost::system::result<log_message> get(std::uint64_t sequence) const
        {
            if (sequence < first || sequence > messages.size())
                return log_errc::not_found;
            return messages[sequence - 1];
        }
        void append(log_message what)
        {
            what.sequence = messages.size() + 1;
            messages.push_back(std::move(what));
        }
    };
    stream log, journal;

    struct accepted {
        std::string id = "id";
        std::string tenant = "t";
        std::string function = "f.s";
        std::string callback{};
        std::string body = "body";
    };
    std::uint64_t accept(const accepted& what)
    {
        headers fields{{"Nats-Msg-Id", what.id}, {"Sluice-Call", "1 " + what.tenant + ' ' + what.function + " 1000"}};
        if (!what.callback.empty())
            fields.push_back({"Sluice-Callback", what.callback});
        log.append({0, std::move(fields), "POST / HTTP/1.1\r\nX-Call-Id: " + what.id + "\r\n\r\n" + what.body});
        return log.messages.size();
    }
    // The records of the whole journal, in order.
    template <class T> std::vector<T> records() const
    {
        std::vector<T> found;
        for (const auto& message : journal.messages)
            if (const auto batch = core::journal::decode(message.payload))
                for (const auto& next : batch->records)
                    if (const auto* what = std::get_if<T>(&next))
                        found.push_back(*what);
        return found;
    }
};

inline outcome delivered(unsigned status, std::string body = "answer")
{
    outcome result;
    result.kind = outcome_kind::delivered;
    result.reply.status = status;
    result.reply.body_bytes = body.size();
    result.reply.body = std::move(body);
    return result;
}

inline outcome failed(outcome_kind kind) { return {kind, {}, "it failed", {}}; }

inline outcome full()
{
    auto result = delivered(429);
    result.reply.fields.push_back({"X-OpenFaaS-Internal", "faas-middleware"});
    return result;
}

class driven_shard {
public:
    driven_shard(stored_partition& over, core::shard_options with = {}) : store(over), engine(with) {}

    stored_partition& store;
    core::shard engine;
    instant now{mono_time(std::chrono::hours(1)), 1'000'000};

    // Kept back from the engine while set; release_*() lets them through.
    bool log_unavailable = false; // when asked how far it goes
    bool hold_appends = false, hold_fetches = false, journal_away = false;
    // Kept for the test.
    std::vector<core::act::dispatch> dispatched;
    std::vector<core::act::send_callback> callbacks;
    std::vector<core::act::settled> settled;
    std::vector<core::act::closed> closed;
    std::vector<core::act::warn> warnings;
    std::vector<core::act::purge_log> log_purges;
    std::vector<core::act::purge_journal> journal_purges;
    std::vector<core::act::append> appends;
    std::vector<core::act::fetch_call> call_fetches;
    std::vector<core::act::fetch_answer> answer_fetches;
    std::vector<core::act::pause_log> pauses;
    std::set<std::string> functions_asked;
    std::uint64_t log_position = 0; // next to be read; 0: not reading
    std::uint32_t slot = 0;

    // Takes the partition over and reads the log to its end.
    void own(const std::string& owner = "owner")
    {
        slot = engine.open(0, owner);
        step();
    }
    // One replica of each function, unless told otherwise.
    void replicas(const std::string& function, std::vector<endpoint> running)
    {
        const auto name = *parse_function_name(function);
        engine.set_exists(name, true, now);
        engine.set_replicas(name, running);
        step();
    }
    static endpoint replica(std::uint32_t max_inflight = 10, std::string name = "r1")
    {
        return {std::move(name), "127.0.0.1", 1, max_inflight, "", true};
    }

    // Until nothing is left to do without the test.
    void step()
    {
        for (bool more = true; more;) {
            auto actions = engine.take_actions(now);
            for (auto& next : actions)
                std::visit([this](auto& what) { perform(what); }, next);
            more = read_log() || !actions.empty();
        }
    }
    // Lets time pass, firing what becomes due on the way.
    void advance(milliseconds time)
    {
        const auto until = now.mono + time;
        for (step(); engine.next_due() && *engine.next_due() <= until; step())
            to(std::max(now.mono, *engine.next_due()));
        to(until);
        step();
    }
    void answer(std::size_t which, const outcome& result)
    {
        engine.attempt_finished(dispatched.at(which).call, result, now);
        step();
    }
    void called_back(std::size_t which, const outcome& result)
    {
        engine.callback_finished(callbacks.at(which).call, result, now);
        step();
    }
    void release_appends()
    {
        hold_appends = false;
        for (auto& held : std::exchange(appends, {}))
            perform(held);
        step();
    }
    void release_fetches()
    {
        hold_fetches = false;
        for (auto& held : std::exchange(call_fetches, {}))
            perform(held);
        for (auto& held : std::exchange(answer_fetches, {}))
            perform(held);
        step();
    }
    void finish_purge(std::size_t which, bool done)
    {
        const auto& what = log_purges.at(which);
        if (done)
            store.log.first = what.below;
        engine.log_purged(what.slot, what.below, done);
        step();
    }

private:
    void to(mono_time time)
    {
        now.wall += std::chrono::duration_cast<milliseconds>(time - now.mono).count();
        now.mono = time;
    }
    bool read_log()
    {
        if (log_position == 0 || log_position > store.log.messages.size())
            return false;
        log_position = std::max(log_position, store.log.first);
        engine.log_message(slot, store.log.messages[log_position - 1], now);
        ++log_position;
        return true;
    }

    void perform(core::act::ask_extents& what) { engine.opened(what.slot, store.journal.info(), store.log.info()); }
    void perform(core::act::read_journal& what)
    {
        for (auto next = store.journal.first; next <= store.journal.messages.size(); ++next)
            engine.journal_message(what.slot, store.journal.messages[next - 1]);
    }
    void perform(core::act::read_log& what) { log_position = what.from; }
    void perform(core::act::pause_log& what) { pauses.push_back(what); }
    void perform(core::act::append& what)
    {
        if (hold_appends)
            return appends.push_back(what);
        boost::system::result<stored_at> result = log_errc::wrong_sequence;
        if (journal_away)
            result = log_errc::unavailable;
        else if (store.journal.bytes_max > 0 && store.journal.bytes() + what.what.payload.size() > store.journal.bytes_max)
            result = log_errc::full;
        else if (store.journal.messages.size() == what.what.expected_last_sequence) {
            store.journal.append({0, {}, what.what.payload});
            result = stored_at{store.journal.messages.size(), false};
        }
        engine.append_result(what.slot, what.what.batch, result, now);
    }
    void perform(core::act::read_back& what) { engine.read_back_result(what.slot, store.journal.get(what.sequence), now); }
    void perform(core::act::ask_last& what) { engine.last_result(what.slot, store.journal.info(), now); }
    void perform(core::act::fetch_call& what)
    {
        if (hold_fetches)
            return call_fetches.push_back(what);
        engine.call_fetched(what.call, (what.from_journal ? store.journal : store.log).get(what.sequence), now);
    }
    void perform(core::act::fetch_straggler& what)
    {
        engine.straggler_fetched(what.slot, what.sequence, store.log.get(what.sequence), now);
    }
    void perform(core::act::fetch_journal& what)
    {
        engine.journal_fetched(what.slot, what.sequence, store.journal.get(what.sequence), now);
    }
    void perform(core::act::fetch_answer& what)
    {
        if (hold_fetches)
            return answer_fetches.push_back(what);
        engine.answer_fetched(what.call, store.journal.get(what.journal_sequence), now);
    }
    void perform(core::act::dispatch& what) { dispatched.push_back(what); }
    void perform(core::act::send_callback& what) { callbacks.push_back(what); }
    void perform(core::act::check_log& what) { engine.log_checked(what.slot, what.sequence, store.log.get(what.sequence)); }
    void perform(core::act::ask_log& what)
    {
        if (log_unavailable)
            engine.log_extent(what.slot, log_errc::unavailable);
        else
            engine.log_extent(what.slot, store.log.info());
    }
    void perform(core::act::purge_log& what) { log_purges.push_back(what); }
    void perform(core::act::purge_journal& what)
    {
        journal_purges.push_back(what);
        store.journal.first = what.below;
    }
    void perform(core::act::closed& what)
    {
        closed.push_back(what);
        if (what.slot == slot)
            log_position = 0;
    }
    void perform(core::act::settled& what) { settled.push_back(what); }
    void perform(core::act::lookup& what) { functions_asked.insert(what.function.full()); }
    void perform(core::act::warn& what) { warnings.push_back(what); }
};

}
