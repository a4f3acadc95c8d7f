#include "tests/integration/queue_worker_fixture.hpp"

// Two queue workers, and the leases that say which of them acts.
namespace sluice {
namespace {

using namespace std::chrono_literals;
using test::queue_worker_test;

// A second worker beside the one of the fixture, under a name of its own.
class standby_worker_test : public queue_worker_test {
protected:
    standby_worker_test() { options_.lease_ttl = 60s; } // neither loses it because the machine is slow
    void start_standby()
    {
        auto with = options_;
        with.worker_id = "standby";
        standby_store_ = std::make_unique<nats::connection>(loop_, connection_options("standby"));
        standby_ = std::make_unique<queue_worker::worker>(loop_, *standby_store_, with, *log_);
        standby_->on_closed([this] { standby_closed_ = true; });
        standby_->start();
    }
    void stop_standby()
    {
        standby_->stop();
        ASSERT_TRUE(until([&] { return standby_closed_; }));
        bury(std::move(standby_), std::move(standby_store_));
    }
    void accept_some(const std::string& prefix)
    {
        for (int i = 0; i < 10; ++i)
            accept(prefix + std::to_string(i), "x", true);
    }

    std::unique_ptr<nats::connection> standby_store_;
    std::unique_ptr<queue_worker::worker> standby_;
    bool standby_closed_ = false;
};

TEST_F(standby_worker_test, a_standby_does_nothing_until_the_other_worker_leaves_then_all)
{
    start_worker();
    accept_some("first-");
    ASSERT_TRUE(until([&] { return receiver_.calls.size() == 10; }));
    start_standby();
    ASSERT_TRUE(until([&] { return standby_->illness().empty(); }));
    accept_some("second-");
    ASSERT_TRUE(until([&] { return receiver_.calls.size() == 20; }));
    EXPECT_EQ(standby_->owned(), 0u);
    EXPECT_EQ(worker_->owned(), options_.partitions);
    stop_worker();
    ASSERT_TRUE(until([&] { return standby_->owned() == options_.partitions; }));
    accept_some("third-");
    ASSERT_TRUE(until([&] { return receiver_.calls.size() == 30; }));
    EXPECT_EQ(function_.calls.size(), 30u) << "none runs twice when a worker leaves in order";
    stop_standby();
}

TEST_F(standby_worker_test, of_two_workers_with_one_name_the_later_works_and_the_other_stands_by)
{
    options_.worker_id = "standby";
    start_worker();
    ASSERT_TRUE(until([&] { return worker_->owned() == options_.partitions; }));
    start_standby();
    ASSERT_TRUE(until([&] { return standby_->owned() == options_.partitions && worker_->owned() == 0; }));
    accept_some("first-");
    ASSERT_TRUE(until([&] { return receiver_.calls.size() == 10; }));
    EXPECT_EQ(standby_->owned(), options_.partitions);
    EXPECT_EQ(worker_->owned(), 0u);
    EXPECT_EQ(worker_->illness(), "");
    stop_standby();
    ASSERT_TRUE(until([&] { return worker_->owned() == options_.partitions; }));
}

TEST_F(standby_worker_test, a_standby_takes_over_from_a_worker_that_died)
{
    options_.lease_ttl = 1s;
    function_.hold = true;
    start_worker();
    accept("held", "x", true);
    ASSERT_TRUE(until([&] { return function_.held.size() == 1; }));
    start_standby();
    kill_worker();
    function_.hold = false;
    ASSERT_TRUE(until([&] { return receiver_.calls.size() == 1; }));
    EXPECT_EQ(function_.calls.size(), 2u);
    function_.held.clear();
    stop_standby();
}

}
}
