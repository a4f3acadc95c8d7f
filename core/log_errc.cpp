#include "sluice/message_log.hpp"

namespace sluice {

namespace {

class category final : public boost::system::error_category {
    const char* name() const noexcept override { return "log"; }
    std::string message(int value) const override
    {
        switch (static_cast<log_errc>(value)) {
        case log_errc::unknown: return "no answer in time: stored or not is unknown";
        case log_errc::wrong_sequence: return "wrong last sequence";
        case log_errc::full: return "the stream is full";
        case log_errc::too_large: return "larger than the server's max_payload";
        case log_errc::not_found: return "not found";
        case log_errc::unavailable: return "no connection to JetStream";
        }
        return "unknown error " + std::to_string(value);
    }
};

}

const boost::system::error_category& log_category() noexcept
{
    static const category instance;
    return instance;
}

}
