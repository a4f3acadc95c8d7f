#include "core/config.hpp"
#include "core/config_text.hpp"

// What a table says about itself: the help of a terminal, a file of the present values, the rows of the documentation.
namespace sluice::config {

std::string table::help() const
{
    std::string text;
    for (const auto& known : entries_) {
        text += "  " + flag_of(known.key) + (known.is_flag ? "" : " <" + known.kind + '>') + "\n      " + known.help;
        if (!known.bounds.empty())
            text += " (" + known.bounds + ')';
        if (known.is_list)
            text += " Items are separated by ;, and the flag may be repeated.";
        text += "\n      default: " + (known.default_text.empty() ? "none" : known.default_text) + "; variable: " + variable_of(known.key)
            + '\n';
    }
    text += "  --config <file>\n      \"key = value\" lines; flags and environment variables beat it.\n      variable: SLUICE_CONFIG\n"
            "  --print-config\n      Prints the configuration that these sources give, and exits.\n";
    return text;
}

std::string table::print() const
{
    std::string text;
    for (const auto& known : entries_) {
        const auto value = known.mask ? known.mask(known.show()) : known.show();
        const bool plain_value = trimmed(value) == value && unquoted(value) == value;
        text += known.key + " = " + (plain_value ? value : quoted(value)) + '\n';
    }
    return text;
}

std::string table::markdown() const
{
    auto cell = [](std::string_view text) {
        std::string escaped;
        for (char c : text) {
            if (c == '|')
                escaped.push_back('\\');
            escaped.push_back(c);
        }
        return escaped;
    };
    auto code = [&cell](std::string_view text) { return text.empty() ? std::string{} : '`' + cell(text) + '`'; };
    std::string rows;
    for (const auto& known : entries_)
        rows += "| " + code(known.key) + " | " + code(flag_of(known.key)) + " | " + code(variable_of(known.key)) + " | "
            + code(known.default_text) + " | " + cell(known.bounds.empty() ? known.kind : known.bounds) + " | " + cell(known.help) + " |\n";
    return rows;
}

}
