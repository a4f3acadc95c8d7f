#pragma once
#include <spdlog/fmt/fmt.h>
#include <spdlog/logger.h>

#include <memory>
#include <string>

// Logs are events: one line per state change or failed attempt, "message key=value"; never bodies, never secrets.
namespace sluice {

using logger = spdlog::logger;

// To stderr: "2026-01-01T00:00:00.000Z level [role] message". level: debug info warn error. Throws std::invalid_argument naming it.
std::shared_ptr<logger> make_logger(const std::string& role, const std::string& level);

}
