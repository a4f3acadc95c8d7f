#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

// Configuration from one table: key, member, bounds and help give the flag, the environment variable, the line of a file, `--help`,
// `--print-config` and docs/configuration.md. Pure: arguments, environment and file text are passed in.
//
// A key is snake_case: `body_bytes_max` is the flag --body-bytes-max VALUE (or --body-bytes-max=VALUE), the variable
// SLUICE_BODY_BYTES_MAX and the file's line `body_bytes_max = VALUE`. A flag beats the environment, which beats the file, which beats
// the default. Unknown flags, unknown file keys and unknown SLUICE_* variables are errors.
namespace sluice::config {

// Says which key of which source is wrong, what was given, and what is allowed.
class error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

// Go's form ("1m30s", "250ms") or whole seconds ("90").
std::chrono::milliseconds parse_duration(std::string_view text); // throws std::invalid_argument
std::string format_duration(std::chrono::milliseconds value);
// Bytes, with an optional suffix: "1048576", "1KiB", "8MiB", "2GiB", "1MB".
std::uint64_t parse_bytes(std::string_view text); // throws std::invalid_argument

// Looks at a value beyond its kind; throws std::invalid_argument that continues 'the value "x" ...': "is not HOST:PORT".
using value_check = std::function<void(const std::string&)>;
// What messages and --print-config show of a value that may hold a secret.
using value_mask = std::function<std::string(const std::string&)>;

// A list as one value: items are separated by ";"; a ";" or a backslash that belongs to an item is written with a backslash before it.
std::string join_list(const std::vector<std::string>& items);

class table {
public:
    // Each registers a key on a member whose present value is the default. The member outlives the table. A check is not asked about an
    // empty text where the default is empty too: there it stands for "not given".
    void text(std::string key, std::string help, std::string& member, value_check check = {}, value_mask mask = {});
    void flag(std::string key, std::string help, bool& member);
    void number(std::string key, std::string help, std::uint64_t& member, std::uint64_t min, std::uint64_t max);
    void number(std::string key, std::string help, std::uint32_t& member, std::uint32_t min, std::uint32_t max);
    void number(std::string key, std::string help, std::uint16_t& member, std::uint16_t min, std::uint16_t max);
    void bytes(std::string key, std::string help, std::uint64_t& member, std::uint64_t min, std::uint64_t max);
    void duration(std::string key, std::string help, std::chrono::milliseconds& member, std::chrono::milliseconds min,
                  std::chrono::milliseconds max);
    // In the form of join_list() from every source; the flag may also be repeated. `check` is asked about each item.
    void list(std::string key, std::string help, std::vector<std::string>& member, value_check check = {});
    // One of the words.
    void choice(std::string key, std::string help, std::string& member, std::vector<std::string> words);

    struct sources {
        std::vector<std::string> arguments; // after the subcommand
        std::map<std::string, std::string> environment;
        std::string file_text; // content of --config FILE, "key = value" lines, # comments
        std::string file_name; // for messages
    };
    // The value of --config in the arguments, or of SLUICE_CONFIG; empty: none. The caller reads the file.
    static std::string file_of(const std::vector<std::string>& arguments, const std::map<std::string, std::string>& environment);
    // Sets the members. Returns the words that are no flags (positional). Throws error. --help and --print-config are the caller's:
    // see wants().
    std::vector<std::string> read(const sources& from);

    struct wish {
        bool help = false;
        bool print_config = false;
    };
    static wish wants(const std::vector<std::string>& arguments);

    std::string help() const;     // for a terminal
    std::string print() const;    // key = value lines: a valid file again, but for what a value_mask hides
    std::string markdown() const; // rows of docs/configuration.md: key, flag, variable, default, bounds, meaning

private:
    struct entry {
        std::string key, help, kind, bounds, default_text;
        bool is_flag = false, is_list = false;
        std::function<void(std::string_view)> set; // throws std::invalid_argument with what is allowed
        std::function<std::string()> show;
        value_mask mask = {}; // may be empty
    };
    entry* find(std::string_view key);
    std::vector<std::string> read_arguments(const std::vector<std::string>& arguments);
    std::vector<entry> entries_;
};

}
