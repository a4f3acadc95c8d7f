#pragma once
#include <cstdint>
#include <string>
#include <string_view>

// Names on the wire: streams, subjects, KV buckets, header fields. One place, used by writers and readers alike.
namespace sluice::wire {

// Version of the log message and journal record formats. A reader refuses a newer one.
inline constexpr int format_version = 1;

inline constexpr std::string_view default_queue = "faas-request";

std::string log_stream(std::string_view queue, std::uint32_t partition);      // LOG_<queue>_<p>
std::string log_subject(std::string_view queue, std::uint32_t partition);     // sluice.log.<queue>.<p>
std::string journal_stream(std::string_view queue, std::uint32_t partition);  // JOURNAL_<queue>_<p>
std::string journal_subject(std::string_view queue, std::uint32_t partition); // sluice.journal.<queue>.<p>
// Key in the leases bucket: one lease covers the partition in all queues.
std::string lease_key(std::uint32_t partition); // p<p>

// KV buckets. Keys of the first two are function_name::key(), of namespaces the name.
inline constexpr std::string_view functions_bucket = "sluice_functions";   // function_spec as JSON
inline constexpr std::string_view endpoints_bucket = "sluice_endpoints";   // function_endpoints as JSON
inline constexpr std::string_view namespaces_bucket = "sluice_namespaces"; // namespace_spec as JSON
inline constexpr std::string_view leases_bucket = "sluice_leases";         // who acts on a partition; see core/lease.hpp
inline constexpr std::string_view cluster_bucket = "sluice_cluster";       // "layout": {"version":1,"partitions":N}

// Header of a log message: "<version> <tenant> <function full name> <accepted unix ms>", single spaces.
inline constexpr std::string_view call_header = "Sluice-Call";
// Header of a log message, only where a callback is due: its URL.
inline constexpr std::string_view callback_header = "Sluice-Callback";

// Authenticates us to a replica's watchdog, which removes it before the function sees the request.
inline constexpr std::string_view replica_token_header = "Sluice-Replica-Token";
// Of an asynchronous call, told to the function and never a caller's own: which attempt this is, from 1, and the epoch of the ownership that sends
// it. Of two deliveries of a call the one with the higher epoch, then the higher attempt, is the newer; after a 429 both stay.
inline constexpr std::string_view attempt_header = "X-Sluice-Attempt";
inline constexpr std::string_view epoch_header = "X-Sluice-Epoch";
// Set by a replica's watchdog on an answer that it cut at its bound: the size in bytes of what the function sent. Never a function's own.
inline constexpr std::string_view cut_answer_header = "Sluice-Answer-Bytes";
// Set by a core component on an error of its own making (OpenFaaS); its value names the component.
inline constexpr std::string_view internal_header = "X-OpenFaaS-Internal";

}
