// Ranks that are threads of this process.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "skmm/base/strips.hpp"

namespace check {

// Runs f(ranks) once for each of `size` ranks, which exchange numbers, and returns how many numbers
// each rank sent.
template <class F>
std::vector<std::int64_t> on_ranks(std::int64_t size, const F& f) {
    std::mutex mutex;
    std::condition_variable met;
    std::vector<double> numbers;
    std::int64_t arrived = 0, left = 0;
    std::vector<std::int64_t> sent(size);
    std::exception_ptr first;
    const auto run = [&](std::int64_t rank) {
        const auto gather = [&, rank](const double* mine, std::int64_t count, double* all) {
            std::unique_lock<std::mutex> lock(mutex);
            met.wait(lock, [&] { return left == 0; });  // all have left the last exchange
            numbers.resize(size * count);
            std::copy_n(mine, count, numbers.begin() + rank * count);
            sent[rank] += count;
            if (++arrived == size) {
                left = size;
                met.notify_all();
            }
            met.wait(lock, [&] { return left > 0; });
            std::copy(numbers.begin(), numbers.end(), all);
            if (--left == 0) {
                arrived = 0;
                met.notify_all();
            }
        };
        try {
            f(skmm::Ranks{size, rank, gather});
        } catch (...) {
            const std::lock_guard<std::mutex> lock(mutex);
            first = std::current_exception();
        }
    };
    std::vector<std::thread> threads;
    for (std::int64_t rank = 0; rank < size; ++rank) threads.emplace_back(run, rank);
    for (std::thread& thread : threads) thread.join();
    if (first) std::rethrow_exception(first);
    return sent;
}

}  // namespace check
