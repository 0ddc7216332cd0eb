// Threads by OpenMP, or serial versions of the same functions if it is not available.
#include "skmm/base/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <climits>
#include <exception>
#include <mutex>
#include <numeric>
#include <thread>
#include <vector>

#include "skmm/base/memory.hpp"

#ifdef _OPENMP
#include <omp.h>
#include <pthread.h>
#endif

namespace skmm {

#ifdef _OPENMP

namespace {

bool serial = false;  // whether everything runs on the calling thread
[[maybe_unused]] const int at_fork = pthread_atfork(nullptr, nullptr, run_serially);

// How many threads, `wanted` at most, the system can start beside those that it runs. Finds out by
// starting threads that do nothing.
int startable(int wanted) {
    std::vector<std::thread> started;
    std::mutex gate;
    gate.lock();
    try {
        started.reserve(static_cast<std::size_t>(wanted));
        for (int i = 0; i < wanted; ++i)
            started.emplace_back([&gate] { const std::lock_guard<std::mutex> passed(gate); });
    } catch (const std::exception&) {  // no thread or no memory is left
    }
    gate.unlock();
    for (std::thread& thread : started) thread.join();
    return static_cast<int>(started.size());
}

// The number of threads to ask OpenMP for, at most n_threads. The runtime ends the process if it
// cannot start a thread, so they are tried first. OpenMP keeps the team of the calling thread for
// its next region, so only a team that grows is tried. One thread more is tried as a reserve for
// the memory of the runtime itself. Where not all can be had, half of them leave room for the work,
// and larger teams are not tried again.
int affordable(int n_threads) {
    static std::atomic<int> most{INT_MAX};
    thread_local int team = 1;
    const int wanted = std::min(n_threads, most.load());
    if (wanted > team) {
        const int more = wanted - team, had = startable(more + 1);
        if (had <= more) most = team + had / 2;
        team += had > more ? more : had / 2;
    } else {
        team = wanted;
    }
    return team;
}

}  // namespace

void run_serially() { serial = true; }

int default_threads() { return serial ? 1 : omp_get_max_threads(); }

int team_size(int n_threads) {
    if (serial) return 1;
    int size = 1;
#pragma omp parallel num_threads(affordable(n_threads))
#pragma omp single
    size = omp_get_num_threads();
    return size;
}

void parallel_blocks(std::int64_t n_blocks, int n_threads,
                     const std::function<void(std::int64_t, int)>& f) {
    if (serial || n_threads <= 1 || n_blocks <= 1) {
        for (std::int64_t b = 0; b < n_blocks; ++b) f(b, 0);
        return;
    }
    std::exception_ptr first;  // an exception that left a parallel region would end the process
#pragma omp parallel for schedule(dynamic, 1) num_threads(affordable(n_threads))
    for (std::int64_t b = 0; b < n_blocks; ++b) {
        try {
            f(b, omp_get_thread_num());
        } catch (...) {
#pragma omp critical(skmm_first_exception)
            if (!first) first = std::current_exception();
        }
    }
    if (first) std::rethrow_exception(first);
}

#else

void run_serially() {}

int default_threads() { return 1; }

int team_size(int) { return 1; }

void parallel_blocks(std::int64_t n_blocks, int, const std::function<void(std::int64_t, int)>& f) {
    for (std::int64_t b = 0; b < n_blocks; ++b) f(b, 0);
}

#endif

void for_blocks(std::int64_t n, int n_threads,
                const std::function<void(std::int64_t, std::int64_t)>& f) {
    parallel_blocks(ceil_div(n, kSumBlock), n_threads, [&](std::int64_t b, int) {
        f(b * kSumBlock, std::min(n, (b + 1) * kSumBlock));
    });
}

double block_sum(std::int64_t n, int n_threads,
                 const std::function<double(std::int64_t, std::int64_t)>& f) {
    std::vector<double> part(static_cast<std::size_t>(ceil_div(n, kSumBlock)));
    for_blocks(n, n_threads, [&](std::int64_t first, std::int64_t last) {
        part[static_cast<std::size_t>(first / kSumBlock)] = f(first, last);
    });
    return std::accumulate(part.begin(), part.end(), 0.0);
}

}  // namespace skmm
