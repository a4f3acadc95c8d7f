#pragma once
#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

// The subcommands that are roles: a name, a line for people, its configuration table and how it runs.
namespace sluice::cli {

struct call {
    std::vector<std::string> arguments;             // after the subcommand
    std::map<std::string, std::string> environment; // the whole of ours
};

// The command line, the environment or the configuration file is wrong: exit code 2.
class usage_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

struct role {
    const char* name;
    const char* summary;
    // Reads the configuration and runs; --help and --print-config only print. Returns the exit code; throws usage_error, and
    // other std::exception for what is wrong later.
    int (*run)(const role& self, const call& with);
    std::string (*markdown)(); // rows of docs/configuration.md
};

std::span<const role> roles() noexcept;

}
