#include "core/config.hpp"

#include "core/config_text.hpp"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <set>

namespace sluice::config {

namespace {

template <class T> T parse_number(std::string_view text)
{
    T value{};
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failure != std::errc{} || end != text.data() + text.size())
        throw std::invalid_argument("is no whole number");
    return value;
}

std::string key_of_variable(std::string_view variable)
{
    std::string key;
    for (char c : variable.substr(7))
        key.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c);
    return key;
}

// Values go into lines of a file, header fields and log lines: none of them may end one.
void refuse_control_characters(std::string_view text)
{
    for (unsigned char c : text)
        if (c < 0x20 || c == 0x7f)
            throw std::invalid_argument("contains a control character");
}

bool is_configs_own(std::string_view flag) { return flag == "--help" || flag == "-h" || flag == "--print-config"; }

// One flag of the command line: its name, and its value where "=" gives one.
struct flag_word {
    std::string_view name;
    std::string_view value;
    bool has_value = false;
};

flag_word split_flag(std::string_view word)
{
    const auto equals = word.find('=');
    if (equals == word.npos)
        return {word, {}, false};
    return {word.substr(0, equals), word.substr(equals + 1), true};
}

std::string key_of_flag(std::string_view flag)
{
    std::string key(flag.substr(2));
    std::replace(key.begin(), key.end(), '-', '_');
    return key;
}

}

void table::text(std::string key, std::string help, std::string& member, value_check check, value_mask mask)
{
    assert(!find(key));
    auto set = [&member, check = std::move(check), may_be_empty = member.empty()](std::string_view given) {
        refuse_control_characters(given);
        if (check && !(given.empty() && may_be_empty))
            check(std::string(given));
        member = given;
    };
    entries_.push_back({key, std::move(help), "text", "", member, false, false, set, [&member] { return member; }, std::move(mask)});
}

void table::flag(std::string key, std::string help, bool& member)
{
    assert(!find(key));
    auto set = [&member](std::string_view given) {
        if (given != "true" && given != "false")
            throw std::invalid_argument("is neither true nor false");
        member = given == "true";
    };
    auto show = [&member] { return std::string(member ? "true" : "false"); };
    entries_.push_back({key, std::move(help), "true or false", "", show(), true, false, set, show});
}

namespace {

template <class T, class Parse, class Format> auto bounded(T& member, T min, T max, Parse parse, Format format)
{
    assert(min <= member && member <= max);
    return [=, &member](std::string_view given) {
        const auto value = parse(given);
        if (value < min || value > max)
            throw std::invalid_argument("is not between " + format(min) + " and " + format(max));
        member = static_cast<T>(value);
    };
}

template <class T> std::string plain(T value) { return std::to_string(value); }

// Says which of several items is wrong.
void check_item(const std::string& item, const value_check& check, std::size_t items)
{
    try {
        check(item);
    } catch (const std::invalid_argument& wrong) {
        throw std::invalid_argument(items == 1 ? wrong.what() : "has the item " + quoted(item) + ", which " + wrong.what());
    }
}

}

void table::number(std::string key, std::string help, std::uint64_t& member, std::uint64_t min, std::uint64_t max)
{
    assert(!find(key));
    entries_.push_back({key, std::move(help), "number", plain(min) + " to " + plain(max), plain(member), false, false,
                        bounded(member, min, max, parse_number<std::uint64_t>, plain<std::uint64_t>), [&member] { return plain(member); }});
}

void table::number(std::string key, std::string help, std::uint32_t& member, std::uint32_t min, std::uint32_t max)
{
    assert(!find(key));
    entries_.push_back({key, std::move(help), "number", plain(min) + " to " + plain(max), plain(member), false, false,
                        bounded(member, min, max, parse_number<std::uint64_t>, plain<std::uint32_t>), [&member] { return plain(member); }});
}

void table::number(std::string key, std::string help, std::uint16_t& member, std::uint16_t min, std::uint16_t max)
{
    assert(!find(key));
    entries_.push_back({key, std::move(help), "number", plain(min) + " to " + plain(max), plain(member), false, false,
                        bounded(member, min, max, parse_number<std::uint64_t>, plain<std::uint16_t>), [&member] { return plain(member); }});
}

void table::bytes(std::string key, std::string help, std::uint64_t& member, std::uint64_t min, std::uint64_t max)
{
    assert(!find(key));
    entries_.push_back({key, std::move(help), "bytes", format_bytes(min) + " to " + format_bytes(max), format_bytes(member), false, false,
                        bounded(member, min, max, parse_bytes, format_bytes), [&member] { return format_bytes(member); }});
}

void table::duration(std::string key, std::string help, std::chrono::milliseconds& member, std::chrono::milliseconds min,
                     std::chrono::milliseconds max)
{
    assert(!find(key));
    entries_.push_back({key, std::move(help), "duration", format_duration(min) + " to " + format_duration(max), format_duration(member),
                        false, false, bounded(member, min, max, parse_duration, format_duration),
                        [&member] { return format_duration(member); }});
}

void table::list(std::string key, std::string help, std::vector<std::string>& member, value_check check)
{
    assert(!find(key));
    auto set = [&member, check = std::move(check)](std::string_view given) {
        refuse_control_characters(given);
        auto items = split_list(given);
        for (const auto& item : items)
            if (check)
                check_item(item, check, items.size());
        member = std::move(items);
    };
    auto show = [&member] { return join_list(member); };
    entries_.push_back({key, std::move(help), "list", "", show(), false, true, set, show});
}

void table::choice(std::string key, std::string help, std::string& member, std::vector<std::string> words)
{
    assert(!find(key));
    std::string allowed;
    for (const auto& word : words)
        allowed.append(allowed.empty() ? "" : ", ").append(word);
    auto set = [&member, words, allowed](std::string_view given) {
        if (std::find(words.begin(), words.end(), given) == words.end())
            throw std::invalid_argument("is none of " + allowed);
        member = given;
    };
    entries_.push_back({key, std::move(help), "word", allowed, member, false, false, set, [&member] { return member; }});
}

table::entry* table::find(std::string_view key)
{
    for (auto& candidate : entries_)
        if (candidate.key == key)
            return &candidate;
    return nullptr;
}

std::string table::file_of(const std::vector<std::string>& arguments, const std::map<std::string, std::string>& environment)
{
    for (std::size_t i = 0; i < arguments.size() && arguments[i] != "--"; ++i) {
        if (arguments[i].rfind("--config=", 0) == 0)
            return arguments[i].substr(9);
        if (arguments[i] == "--config")
            return i + 1 < arguments.size() ? arguments[i + 1] : throw error("flag --config needs a value");
    }
    const auto at = environment.find("SLUICE_CONFIG");
    return at == environment.end() ? std::string{} : at->second;
}

table::wish table::wants(const std::vector<std::string>& arguments)
{
    wish found;
    for (const auto& word : arguments) {
        if (word == "--")
            break;
        found.help |= word == "--help" || word == "-h";
        found.print_config |= word == "--print-config";
    }
    return found;
}

namespace {

// Calls `set` and puts where the value came from before what was wrong with it.
template <class Entry> void apply(const Entry& entry, std::string_view value, const std::string& source)
{
    try {
        entry.set(value);
    } catch (const std::invalid_argument& wrong) {
        const std::string given(value);
        throw error(source + ": " + quoted(entry.mask ? entry.mask(given) : given) + ' ' + wrong.what());
    }
}

struct file_line {
    std::string_view key, value;
    std::size_t number = 0;
};

std::vector<file_line> lines_of(std::string_view text, const std::string& file)
{
    std::vector<file_line> lines;
    for (std::size_t number = 1; !text.empty(); ++number) {
        const auto end = std::min(text.find('\n'), text.size());
        const auto line = trimmed(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
        if (line.empty() || line.front() == '#')
            continue;
        const auto equals = line.find('=');
        if (equals == line.npos)
            throw error("file " + file + " line " + std::to_string(number) + ": is no \"key = value\"");
        lines.push_back({trimmed(line.substr(0, equals)), unquoted(trimmed(line.substr(equals + 1))), number});
    }
    return lines;
}

}

std::vector<std::string> table::read(const sources& from)
{
    std::set<std::string, std::less<>> seen;
    for (const auto& line : lines_of(from.file_text, from.file_name)) {
        const auto where = "file " + from.file_name + " line " + std::to_string(line.number) + ", key ";
        auto* known = find(line.key);
        if (!known)
            throw error(where + quoted(line.key) + ": is unknown");
        if (!seen.emplace(line.key).second)
            throw error(where + known->key + ": is given twice");
        apply(*known, line.value, where + known->key);
    }
    for (const auto& [name, value] : from.environment) {
        if (name.rfind("SLUICE_", 0) != 0 || name == "SLUICE_CONFIG")
            continue;
        auto* known = find(key_of_variable(name));
        if (!known || variable_of(known->key) != name)
            throw error("environment variable " + name + ": is unknown");
        apply(*known, value, "environment variable " + name);
    }
    return read_arguments(from.arguments);
}

std::vector<std::string> table::read_arguments(const std::vector<std::string>& arguments)
{
    std::vector<std::string> words;
    std::map<entry*, std::string> lists;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string& word = arguments[i];
        if (word == "--") {
            words.insert(words.end(), arguments.begin() + static_cast<std::ptrdiff_t>(i) + 1, arguments.end());
            break;
        }
        if (word.size() < 2 || word[0] != '-') {
            words.push_back(word);
            continue;
        }
        if (is_configs_own(word))
            continue;
        auto given = split_flag(word);
        const bool is_config = given.name == "--config";
        auto* known = !is_config && word[1] == '-' ? find(key_of_flag(given.name)) : nullptr;
        if (!is_config && (!known || flag_of(known->key) != given.name))
            throw error("flag " + std::string(given.name) + ": is unknown");
        if (!given.has_value && known && known->is_flag) {
            given.value = "true";
        } else if (!given.has_value) {
            if (i + 1 == arguments.size() || arguments[i + 1].rfind("--", 0) == 0)
                throw error("flag " + word + ": needs a value");
            given.value = arguments[++i];
        }
        if (is_config)
            continue;
        if (known->is_list) {
            auto& so_far = lists[known];
            so_far.append(so_far.empty() ? "" : ";").append(join_list(split_list(given.value)));
            given.value = so_far;
        }
        apply(*known, given.value, "flag " + flag_of(known->key));
    }
    return words;
}

}
