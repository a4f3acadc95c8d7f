#include "core/journal_writer.hpp"

#include "core/retry.hpp"

#include <algorithm>

namespace sluice::core {

journal_writer::journal_writer(std::uint64_t epoch, std::string owner, std::uint64_t last_sequence, options with)
    : epoch_(epoch), owner_(std::move(owner)), options_(with), last_sequence_(last_sequence)
{
    open_payload_ = journal::encode_head(epoch_, owner_, 0);
    close_batch();
}

void journal_writer::add(journal::record what)
{
    std::string bytes;
    journal::append_record(bytes, what);
    if (!open_.empty() && open_payload_.size() + bytes.size() > options_.batch_bytes_max)
        close_batch();
    if (open_.empty())
        open_payload_ = journal::encode_head(epoch_, owner_, next_number_);
    open_payload_ += bytes;
    open_.push_back(std::move(what));
}

void journal_writer::close_batch()
{
    batch closed;
    closed.number = next_number_++;
    closed.payload = std::move(open_payload_);
    closed_bytes_ += closed.payload.size();
    closed.expected_last_sequence = last_sequence_++;
    closed.records = std::move(open_);
    open_.clear();
    open_payload_.clear();
    batches_.push_back(std::move(closed));
}

std::size_t journal_writer::in_flight() const noexcept
{
    return static_cast<std::size_t>(
        std::count_if(batches_.begin(), batches_.end(), [](const batch& b) { return b.state == batch_state::in_flight; }));
}

journal_writer::append journal_writer::send(const batch& what)
{
    return {what.number, std::to_string(epoch_) + '-' + owner_ + '/' + std::to_string(what.number), what.payload,
            what.expected_last_sequence};
}

void journal_writer::append_result(std::uint64_t number, const boost::system::result<stored_at>& result, mono_time now)
{
    auto at = std::find_if(batches_.begin(), batches_.end(), [number](const batch& b) { return b.number == number; });
    if (at == batches_.end() || at->state == batch_state::stored)
        return;
    if (result) {
        if (result->sequence != at->expected_last_sequence + 1)
            return lose("the journal stored a record at sequence " + std::to_string(result->sequence) + " instead of "
                        + std::to_string(at->expected_last_sequence + 1));
        at->state = batch_state::stored;
        at->stored_sequence = result->sequence;
        return;
    }
    if (result.error() == log_errc::too_large)
        return lose("a journal record exceeds the server's max_payload: raise that, or lower answer_bytes_max, and start again", true);
    trouble_ = true;
    full_ = result.error() == log_errc::full;
    at->doubtful = true;
    at->state = result.error() == log_errc::wrong_sequence ? batch_state::refused : batch_state::unknown;
    if (at->state == batch_state::unknown)
        wait_to_resend(now);
}

void journal_writer::wait_to_resend(mono_time now)
{
    if (resend_at_ > now)
        return;
    resend_at_ = now + backoff(++resends_, options_.resend_wait_min, options_.resend_wait_max);
}

void journal_writer::read_result(const boost::system::result<log_message>& result, mono_time now)
{
    asking_ = false;
    if (batches_.empty())
        return;
    auto& oldest = batches_.front();
    if (result) {
        if (result->payload != oldest.payload)
            return lose("another owner's record is at journal sequence " + std::to_string(oldest.expected_last_sequence + 1));
        oldest.state = batch_state::stored;
        oldest.stored_sequence = oldest.expected_last_sequence + 1;
        return;
    }
    ask_last_ = result.error() == log_errc::not_found;
    if (!ask_last_)
        wait_to_resend(now);
}

void journal_writer::last_result(const boost::system::result<log_info>& result, mono_time now)
{
    asking_ = false;
    if (batches_.empty())
        return;
    auto& oldest = batches_.front();
    if (result && result->last_sequence < oldest.expected_last_sequence)
        return lose("the journal ends at sequence " + std::to_string(result->last_sequence) + ", before what was stored");
    if (result && result->first_sequence > oldest.expected_last_sequence + 1)
        return lose("another owner has purged the journal up to sequence " + std::to_string(result->first_sequence));
    if (result && result->last_sequence == oldest.expected_last_sequence)
        oldest.state = batch_state::unknown;
    resend_at_ = {};
    wait_to_resend(now);
}

void journal_writer::lose(std::string reason, bool final)
{
    if (!lost_)
        lost_ = lost{final, std::move(reason)};
}

void journal_writer::release_stored(std::vector<action>& out)
{
    while (!batches_.empty() && batches_.front().state == batch_state::stored) {
        auto& oldest = batches_.front();
        owns_ = true;
        closed_bytes_ -= oldest.payload.size();
        out.push_back(stored{oldest.stored_sequence, oldest.number, oldest.payload.size(), std::move(oldest.records)});
        batches_.pop_front();
    }
    trouble_ = std::any_of(batches_.begin(), batches_.end(), [](const batch& b) { return b.doubtful && b.state != batch_state::stored; });
    if (!trouble_)
        resends_ = 0;
}

// The oldest batch that is not stored first; what follows it was sent with an expectation that depends on it.
void journal_writer::recover(std::vector<action>& out, mono_time now)
{
    if (asking_ || in_flight() > 0 || now < resend_at_)
        return;
    if (ask_last_) {
        ask_last_ = false;
        asking_ = true;
        out.push_back(ask_last{});
        return;
    }
    auto& oldest = batches_.front();
    if (oldest.state == batch_state::refused) {
        asking_ = true;
        out.push_back(read_back{oldest.expected_last_sequence + 1});
        return;
    }
    oldest.state = batch_state::in_flight;
    out.push_back(send(oldest));
}

void journal_writer::send_waiting(std::vector<action>& out)
{
    auto busy = in_flight();
    for (auto& next : batches_) {
        bool may_go = next.number == 0 || (owns_ && busy < options_.in_flight_max);
        if (next.state != batch_state::waiting || !may_go)
            continue;
        next.state = batch_state::in_flight;
        ++busy;
        out.push_back(send(next));
    }
    if (!owns_ || open_.empty() || busy >= options_.in_flight_max || (busy > 0 && open_payload_.size() < options_.pipeline_bytes))
        return;
    close_batch();
    batches_.back().state = batch_state::in_flight;
    out.push_back(send(batches_.back()));
}

std::vector<journal_writer::action> journal_writer::actions(mono_time now)
{
    std::vector<action> out;
    if (lost_) {
        out.push_back(*lost_);
        return out;
    }
    release_stored(out);
    if (trouble_)
        recover(out, now);
    else
        send_waiting(out);
    return out;
}

std::optional<mono_time> journal_writer::next_due() const
{
    if (!trouble_ || asking_ || in_flight() > 0)
        return std::nullopt;
    return resend_at_;
}

}
