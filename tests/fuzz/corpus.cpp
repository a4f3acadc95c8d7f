#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <unistd.h>
#include <vector>

// Runs a fuzz target without a fuzzer, so that each build does: every input of its corpus as it is, and some thousand seeded mutations of them. An
// input that breaks a promise aborts, and is shown.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr std::size_t input_bytes_max = 4096;
constexpr int mutations_of_each = 1'000;
std::string current;

extern "C" void show_current(int signal)
{
    constexpr char digits[] = "0123456789abcdef";
    std::string text = "the input, in hexadecimal digits: ";
    for (const auto byte : current)
        text.append({digits[static_cast<unsigned char>(byte) / 16], digits[static_cast<unsigned char>(byte) % 16]});
    text += '\n';
    [[maybe_unused]] const auto written = write(STDERR_FILENO, text.data(), text.size());
    std::signal(signal, SIG_DFL);
    std::raise(signal);
}

std::vector<std::string> corpus()
{
    std::vector<std::string> inputs;
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(SLUICE_CORPUS))
        files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    for (const auto& file : files) {
        std::ifstream in(file, std::ios::binary);
        inputs.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    }
    return inputs;
}

void run(std::string input)
{
    current = std::move(input);
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(current.data()), current.size());
}

std::string mutated(std::string input, const std::vector<std::string>& others, std::mt19937_64& random)
{
    constexpr std::string_view telling("\0\r\n \t:;,=%./?#\"\\{}[]0129-+\x7f\x80\xff", 30);
    for (auto changes = 1 + random() % 4; changes > 0; --changes) {
        const auto at = random() % (input.size() + 1);
        const auto length = std::min<std::size_t>(random() % 16, input.size() - at);
        switch (random() % 7) {
        case 0: input.insert(at, 1, telling[random() % telling.size()]); break;
        case 1: input.erase(at, length); break;
        case 2: input.insert(at, std::string(input, at, length)); break;
        case 3: input.replace(at, length, std::string(length, telling[random() % telling.size()])); break;
        case 4:
            if (at < input.size())
                input[at] = static_cast<char>(input[at] ^ (1 << random() % 8));
            break;
        case 5: {
            const auto& other = others[random() % others.size()];
            const auto from = random() % (other.size() + 1);
            input.insert(at, std::string(other, from, random() % 64));
            break;
        }
        case 6: input.resize(at); break;
        }
    }
    input.resize(std::min(input.size(), input_bytes_max));
    return input;
}

}

TEST(corpus, keeps_every_promise)
{
    std::signal(SIGABRT, show_current);
    const auto inputs = corpus();
    ASSERT_GE(inputs.size(), 3u) << "nothing in " << SLUICE_CORPUS;
    std::mt19937_64 random(1);
    for (const auto& input : inputs)
        run(input);
    for (const auto& input : inputs)
        for (int i = 0; i < mutations_of_each; ++i)
            run(mutated(input, inputs, random));
}
