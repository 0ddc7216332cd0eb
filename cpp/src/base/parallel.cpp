// Threads by OpenMP, or serial versions of the same functions if it is not available.
#include "skmm/base/parallel.hpp"

#include <algorithm>
#include <exception>
#include <numeric>
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

}  // namespace

void run_serially() { serial = true; }

int default_threads() { return serial ? 1 : omp_get_max_threads(); }

int team_size(int n_threads) {
    if (serial) return 1;
    int size = 1;
#pragma omp parallel num_threads(n_threads)
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
#pragma omp parallel for schedule(dynamic, 1) num_threads(n_threads)
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
