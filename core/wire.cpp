#include "sluice/wire.hpp"

namespace sluice::wire {

namespace {

std::string numbered(std::string_view prefix, std::string_view queue, char separator, std::uint32_t partition)
{
    std::string name(prefix);
    name.append(queue).push_back(separator);
    return name.append(std::to_string(partition));
}

}

std::string log_stream(std::string_view queue, std::uint32_t partition) { return numbered("LOG_", queue, '_', partition); }
std::string log_subject(std::string_view queue, std::uint32_t partition) { return numbered("sluice.log.", queue, '.', partition); }
std::string journal_stream(std::string_view queue, std::uint32_t partition) { return numbered("JOURNAL_", queue, '_', partition); }
std::string journal_subject(std::string_view queue, std::uint32_t partition) { return numbered("sluice.journal.", queue, '.', partition); }
std::string lease_key(std::uint32_t partition) { return 'p' + std::to_string(partition); }

}
