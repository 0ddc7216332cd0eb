// Threads by OpenMP, or serial versions of the same functions if it is not available.
#include "skmm/base/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <climits>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "skmm/base/cpu_quota.hpp"
#include "skmm/base/memory.hpp"
#include "skmm/base/standard_floats.hpp"

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

using Clock = std::chrono::steady_clock;

// Until when the calling thread works alone. Where others keep the processors busy, a thread of a
// team waits for its turn, for milliseconds, and the team for it. A region that took longer than
// its caller alone would have taken, by the blocks that it did, is followed by work without a team
// for kPatience times the time lost. So no more than a part of 1 / kPatience is lost.
thread_local Clock::time_point alone_until;
constexpr int kPatience = 20;

// Sees a region of n_blocks that took `wall`, of which the caller did `own` blocks in `worked`.
void judge(std::int64_t n_blocks, std::int64_t own, Clock::duration worked, Clock::duration wall) {
    if (own == 0) return;
    const auto lost = wall - worked * n_blocks / own;
    if (lost > std::chrono::microseconds(50)) alone_until = Clock::now() + kPatience * lost;
}

}  // namespace

void run_serially() { serial = true; }

int default_threads() {
    if (serial) return 1;
    static const int quota = std::getenv("OMP_NUM_THREADS") == nullptr ? cpu_quota() : INT_MAX;
    return std::min(omp_get_max_threads(), quota);
}

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
    const bool alone = serial || n_threads <= 1 || n_blocks <= 1;
    std::int64_t done = 0;
    {
        const StandardFloats standard;
        while (done < n_blocks && (alone || Clock::now() < alone_until)) f(done++, 0);
    }
    if (done == n_blocks) return;

    std::exception_ptr first;  // an exception that left a parallel region would end the process
    std::int64_t own = 0;      // blocks of the calling thread, which is thread 0 of its team
    Clock::duration worked{};
    const auto began = Clock::now();
#pragma omp parallel num_threads(affordable(n_threads))
    {
        const StandardFloats standard;
        const int slot = omp_get_thread_num();
        const auto started = Clock::now();
#pragma omp for schedule(dynamic, 1) nowait
        for (std::int64_t b = done; b < n_blocks; ++b) {
            try {
                if (slot == 0) ++own;
                f(b, slot);
            } catch (...) {
#pragma omp critical(skmm_first_exception)
                if (!first) first = std::current_exception();
            }
        }
        if (slot == 0) worked = Clock::now() - started;
    }
    if (first) std::rethrow_exception(first);
    judge(n_blocks - done, own, worked, Clock::now() - began);
}

#else

void run_serially() {}

int default_threads() { return 1; }

int team_size(int) { return 1; }

void parallel_blocks(std::int64_t n_blocks, int, const std::function<void(std::int64_t, int)>& f) {
    const StandardFloats standard;
    for (std::int64_t b = 0; b < n_blocks; ++b) f(b, 0);
}

#endif

int worth(double work, int n_threads) {
    constexpr double kShare = 1 << 18;  // some 50 microseconds: less is not worth a thread
    return static_cast<int>(std::clamp(work / kShare, 1.0, static_cast<double>(n_threads)));
}

void for_blocks(std::int64_t n, int n_threads,
                const std::function<void(std::int64_t, std::int64_t)>& f) {
    constexpr double kPerIndex = 4.0;  // multiply-adds that take about as long as an index
    const int team = worth(kPerIndex * static_cast<double>(n), n_threads);
    parallel_blocks(ceil_div(n, kSumBlock), team, [&](std::int64_t b, int) {
        f(b * kSumBlock, std::min(n, (b + 1) * kSumBlock));
    });
}

}  // namespace skmm
