#include "core/journal_records.hpp"

#include <concepts>
#include <optional>

namespace sluice::core::journal {

namespace {

constexpr std::string_view magic = "SLJ";

constexpr unix_ms time_max = unix_ms{1} << 53;

enum class record_kind : std::uint8_t {
    settled = 1,
    retry_scheduled = 2,
    answered = 3,
    callback_scheduled = 4,
    carried = 5,
    reserved = 6,
    handed_over = 7,
};

template <std::unsigned_integral T> void put(std::string& to, T value)
{
    for (std::size_t i = 0; i < sizeof(T); ++i)
        to.push_back(static_cast<char>(value >> (8 * i)));
}

void put_text(std::string& to, std::string_view text)
{
    put(to, static_cast<std::uint32_t>(text.size()));
    to.append(text);
}

void put_call(std::string& to, const call_ref& call)
{
    put(to, call.sequence);
    put(to, call.id_hash);
}

void put_fields(std::string& to, const settled& what)
{
    put_call(to, what.call);
    put(to, static_cast<std::uint8_t>(what.how));
    put(to, what.attempts);
    put(to, what.status);
}

template <class Schedule> void put_schedule(std::string& to, const Schedule& what)
{
    put_call(to, what.call);
    put(to, what.attempts);
    put(to, static_cast<std::uint64_t>(what.recorded_at));
    put(to, what.delay_ms);
}

void put_fields(std::string& to, const retry_scheduled& what) { put_schedule(to, what); }
void put_fields(std::string& to, const callback_scheduled& what) { put_schedule(to, what); }

void put_fields(std::string& to, const carried& what)
{
    put_call(to, what.call);
    put(to, static_cast<std::uint32_t>(what.fields.size()));
    for (const auto& field : what.fields) {
        put_text(to, field.name);
        put_text(to, field.value);
    }
    put_text(to, what.payload);
}

void put_fields(std::string& to, const reserved& what)
{
    put_text(to, what.tenant);
    put(to, what.slots);
}

void put_fields(std::string&, const handed_over&) {}

void put_fields(std::string& to, const answered& what)
{
    put_call(to, what.call);
    put(to, what.attempts);
    put(to, what.status);
    put(to, static_cast<std::uint8_t>(what.dead));
    put_text(to, what.url);
    put_text(to, what.head);
    put_text(to, what.body);
    put_text(to, what.tenant);
    put_text(to, what.function);
}

record_kind kind_of(const settled&) { return record_kind::settled; }
record_kind kind_of(const retry_scheduled&) { return record_kind::retry_scheduled; }
record_kind kind_of(const answered&) { return record_kind::answered; }
record_kind kind_of(const callback_scheduled&) { return record_kind::callback_scheduled; }
record_kind kind_of(const carried&) { return record_kind::carried; }
record_kind kind_of(const reserved&) { return record_kind::reserved; }
record_kind kind_of(const handed_over&) { return record_kind::handed_over; }

// Reads from the front; after the first thing that is not there everything reads as empty and ok() is false.
class reader {
public:
    explicit reader(std::string_view bytes) : rest_(bytes) {}

    template <std::unsigned_integral T> T number()
    {
        auto bytes = take(sizeof(T));
        T value = 0;
        for (std::size_t i = 0; i < bytes.size(); ++i)
            value = static_cast<T>(value | (static_cast<T>(static_cast<unsigned char>(bytes[i])) << (8 * i)));
        return value;
    }
    std::string_view text() { return take(number<std::uint32_t>()); }
    std::string_view take(std::size_t count)
    {
        if (!ok_ || count > rest_.size()) {
            ok_ = false;
            return {};
        }
        auto taken = rest_.substr(0, count);
        rest_.remove_prefix(count);
        return taken;
    }
    bool ok() const { return ok_; }
    bool empty() const { return rest_.empty(); }

private:
    std::string_view rest_;
    bool ok_ = true;
};

call_ref read_call(reader& from)
{
    call_ref call;
    call.sequence = from.number<std::uint64_t>();
    call.id_hash = from.number<std::uint64_t>();
    return call;
}

std::optional<record> read_settled(reader& from)
{
    settled what;
    what.call = read_call(from);
    auto how = from.number<std::uint8_t>();
    what.how = static_cast<settled::how_kind>(how);
    what.attempts = from.number<std::uint32_t>();
    what.status = from.number<std::uint32_t>();
    if (how < 1 || how > static_cast<std::uint8_t>(settled::how_kind::unreadable))
        return std::nullopt;
    return what;
}

template <class Schedule> std::optional<record> read_schedule(reader& from)
{
    Schedule what;
    what.call = read_call(from);
    what.attempts = from.number<std::uint32_t>();
    what.recorded_at = static_cast<unix_ms>(from.number<std::uint64_t>());
    what.delay_ms = from.number<std::uint64_t>();
    // Whoever loads it computes with both: neither may come near the ends of its type.
    if (what.recorded_at < 0 || what.recorded_at > time_max || what.delay_ms > static_cast<std::uint64_t>(time_max))
        return std::nullopt;
    return what;
}

record read_answered(reader& from)
{
    answered what;
    what.call = read_call(from);
    what.attempts = from.number<std::uint32_t>();
    what.status = from.number<std::uint32_t>();
    what.dead = from.number<std::uint8_t>() != 0;
    what.url = from.text();
    what.head = from.text();
    what.body = from.text();
    what.tenant = from.text();
    what.function = from.text();
    return what;
}

record read_carried(reader& from)
{
    carried what;
    what.call = read_call(from);
    for (auto left = from.number<std::uint32_t>(); left > 0 && from.ok(); --left) {
        auto name = from.text();
        what.fields.push_back({std::string(name), std::string(from.text())});
    }
    what.payload = from.text();
    return what;
}

record read_reserved(reader& from)
{
    reserved what;
    what.tenant = from.text();
    what.slots = from.number<std::uint32_t>();
    return what;
}

std::optional<record> read_record(reader& from)
{
    auto kind = static_cast<record_kind>(from.number<std::uint8_t>());
    reader fields(from.text());
    std::optional<record> what;
    switch (kind) {
    case record_kind::settled: what = read_settled(fields); break;
    case record_kind::retry_scheduled: what = read_schedule<retry_scheduled>(fields); break;
    case record_kind::answered: what = read_answered(fields); break;
    case record_kind::callback_scheduled: what = read_schedule<callback_scheduled>(fields); break;
    case record_kind::carried: what = read_carried(fields); break;
    case record_kind::reserved: what = read_reserved(fields); break;
    case record_kind::handed_over: what = handed_over{}; break;
    }
    if (!from.ok() || !fields.ok() || !fields.empty())
        return std::nullopt;
    return what;
}

}

std::string encode_head(std::uint64_t epoch, std::string_view owner, std::uint64_t number)
{
    std::string bytes(magic);
    put(bytes, static_cast<std::uint8_t>(format_version));
    put(bytes, epoch);
    put_text(bytes, owner);
    put(bytes, number);
    return bytes;
}

void append_record(std::string& to, const record& what)
{
    std::visit(
        [&](const auto& fields) {
            put(to, static_cast<std::uint8_t>(kind_of(fields)));
            auto length_at = to.size();
            put(to, std::uint32_t{0});
            put_fields(to, fields);
            auto length = static_cast<std::uint32_t>(to.size() - length_at - 4);
            for (std::size_t i = 0; i < 4; ++i)
                to[length_at + i] = static_cast<char>(length >> (8 * i));
        },
        what);
}

bool is_batch(std::string_view bytes) noexcept { return bytes.starts_with(magic); }

boost::system::result<batch, decode_error> decode(std::string_view bytes)
{
    reader from(bytes);
    if (from.take(magic.size()) != magic)
        return decode_error{false, "not a journal record batch"};
    if (int version = from.number<std::uint8_t>(); version != format_version)
        return decode_error{version > format_version,
                            "journal record format " + std::to_string(version)
                                + (version > format_version ? " is newer than" : " is not the one") + " this release reads ("
                                + std::to_string(format_version) + ")"};
    batch read;
    read.epoch = from.number<std::uint64_t>();
    read.owner = from.text();
    read.number = from.number<std::uint64_t>();
    while (from.ok() && !from.empty()) {
        auto next = read_record(from);
        if (!next)
            return decode_error{false, "a journal record is damaged"};
        read.records.push_back(std::move(*next));
    }
    if (!from.ok())
        return decode_error{false, "a journal record batch is cut short"};
    return read;
}

namespace {

template <class T> const call_ref* find_call(const T& fields) noexcept { return &fields.call; }
const call_ref* find_call(const reserved&) noexcept { return nullptr; }
const call_ref* find_call(const handed_over&) noexcept { return nullptr; }

}

const call_ref* call_of(const record& what) noexcept
{
    return std::visit([](const auto& fields) { return find_call(fields); }, what);
}

std::size_t size_of(const record& what)
{
    std::string bytes;
    append_record(bytes, what);
    return bytes.size();
}

}
