#include "cli/up/role_option.hpp"

#include <algorithm>
#include <stdexcept>

namespace sluice::up {

role_option parse_role_option(std::string_view text)
{
    const auto dot = text.find('.'), equals = text.find('=');
    if (dot == text.npos || equals == text.npos || equals < dot + 2)
        throw std::invalid_argument("is not ROLE.KEY=VALUE");
    std::string key(text.substr(dot + 1, equals - dot - 1));
    std::replace(key.begin(), key.end(), '_', '-');
    return {std::string(text.substr(0, dot)), "--" + key + std::string(text.substr(equals))};
}

}
