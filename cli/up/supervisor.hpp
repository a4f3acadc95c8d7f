#pragma once
#include "cli/up/child.hpp"

#include <deque>

// The processes of `sluice up`, in order: each is started when the one before it is ready, and they are stopped the other way round, one
// after the other. What ends by itself in between is started again (child). Loop thread only.
namespace sluice::up {

struct supervisor_options {
    std::size_t log_bytes_max = 16 * 1024 * 1024; // a log file beyond it becomes FILE.1
    std::chrono::milliseconds log_check_interval{2'000};
    std::chrono::milliseconds drain_deadline{30'000}; // of stop(), for all children together: then each is hurried
    std::chrono::milliseconds end_deadline{5'000};    // after that: then what is left is killed
    std::chrono::milliseconds hurry_wait{500};        // between the two SIGTERMs of a child whose turn comes late
};

class supervisor {
public:
    supervisor(loop& on, logger& log, supervisor_options options);

    void add(child_spec spec);
    // done runs once: with nothing when all are ready, else with the reason why one could not be started ("gateway: address in use").
    void start(std::function<void(std::string failure)> done);
    // Ends everything in order; done runs once, when nothing runs any more: at the latest drain_deadline + end_deadline from now, and
    // the moment that a kill takes.
    void stop(std::function<void()> done);
    // Ends everything at once; stop()'s done runs when it is over.
    void kill();

    const child* find(const std::string& name) const noexcept;
    bool owns(int pid) const noexcept;

private:
    void ready(std::size_t index);
    void failed(std::size_t index, const std::string& reason);
    void stop_next();
    void check_logs();
    void drained();

    loop& loop_;
    logger& log_;
    supervisor_options options_;
    std::deque<child> children_;
    std::vector<std::string> log_files_;
    std::function<void(std::string)> started_;
    std::function<void()> stopped_;
    std::size_t up_ = 0; // children that have been started
    bool stopping_ = false, killing_ = false, hurrying_ = false;
    timer check_, hurry_, late_;
};

}
