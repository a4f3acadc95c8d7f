#pragma once
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace sluice::test {

// A folder of a test's own, removed with all in it at the end.
class temp_folder {
public:
    temp_folder()
    {
        path_ = (std::filesystem::temp_directory_path() / "sluice-test-XXXXXX").string();
        if (!::mkdtemp(path_.data()))
            throw std::runtime_error("cannot make " + path_);
    }
    ~temp_folder()
    {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    temp_folder(const temp_folder&) = delete;
    temp_folder& operator=(const temp_folder&) = delete;

    const std::string& path() const noexcept { return path_; }
    std::string operator/(const std::string& name) const { return path_ + '/' + name; }

private:
    std::string path_;
};

}
