#include "core/journal_space.hpp"

#include <gtest/gtest.h>

using namespace sluice::core;

TEST(journal_space_test, more_void_messages_than_a_step_do_not_stop_the_purge)
{
    journal_space space;
    space.add(1, 10, 0, false);
    for (std::uint64_t sequence = 2; sequence <= 5; ++sequence)
        space.add(sequence, 10, 0, true);
    space.add(6, 10, 0, false);
    space.add(7, 10, 0, false);
    EXPECT_EQ(space.purge_target(1, 3), 6u) << "a void one, with nothing of its epoch before it, would count";
}
