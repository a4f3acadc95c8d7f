#include "core/config.hpp"
#include "core/listen_address.hpp"
#include "core/url_guard.hpp"
#include "core/watchdog_config.hpp"

#include <cstdlib>
#include <optional>

// What an operator or a deployer writes: a configuration file, addresses, allowlists, a watchdog's environment. Only the error that
// the header names comes out, never another one; and a file that was understood is printed as one that says the same.
namespace {

using namespace sluice;

struct settings {
    std::string word = "word", level = "info";
    bool on = false;
    std::uint64_t count = 7, size = 1024;
    std::chrono::milliseconds wait{1'500};
    std::vector<std::string> items;

    // The text that print() gives; nothing where the file is refused.
    std::optional<std::string> read(std::string file)
    {
        config::table all;
        all.text("word", "A text.", word);
        all.choice("level", "One of two.", level, {"info", "warn"});
        all.flag("on", "A switch.", on);
        all.number("count", "A number.", count, 1, 1'000'000);
        all.bytes("size", "A size.", size, 1, std::uint64_t{1} << 40);
        all.duration("wait", "A time.", wait, std::chrono::milliseconds(0), std::chrono::hours(1'000));
        all.list("items", "Some texts.", items);
        try {
            all.read({{}, {}, std::move(file), "file"});
        } catch (const config::error& wrong) {
            if (std::string_view(wrong.what()).empty())
                std::abort();
            return std::nullopt;
        }
        return all.print();
    }
};

template <class Error, class Work> void refuses_with(Work work)
{
    try {
        work();
    } catch (const Error& wrong) {
        if (std::string_view(wrong.what()).empty())
            std::abort();
    }
}

}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string text(reinterpret_cast<const char*>(data), size);
    settings first;
    if (const auto printed = first.read(text)) {
        settings second;
        if (second.read(*printed) != printed || second.items != first.items || second.word != first.word || second.wait != first.wait)
            std::abort();
    }
    refuses_with<config::error>([&] {
        const auto at = core::parse_listen_address("listen", text);
        if (core::parse_listen_address("listen", at.text()).text() != at.text())
            std::abort();
    });
    refuses_with<std::invalid_argument>([&] { url_guard({text}); });
    refuses_with<std::invalid_argument>([&] { core::parse_http_address(text); });
    string_map environment;
    for (std::size_t at = 0; at < text.size();) {
        const auto end = std::min(text.find('\n', at), text.size());
        const auto line = text.substr(at, end - at);
        if (const auto equals = line.find('='); equals != line.npos)
            environment[line.substr(0, equals)] = line.substr(equals + 1);
        at = end + 1;
    }
    refuses_with<config::error>([&] { core::read_watchdog_config(environment); });
    return 0;
}
