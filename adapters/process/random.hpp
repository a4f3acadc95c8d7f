#pragma once
#include <cstddef>
#include <string>

// Unpredictable bytes of the kernel (getrandom). Any thread; throw std::system_error when it has none.
namespace sluice::process {

void fill_random(void* at, std::size_t bytes);
// `bytes` of them as twice as many hex digits.
std::string random_hex(std::size_t bytes);

}
