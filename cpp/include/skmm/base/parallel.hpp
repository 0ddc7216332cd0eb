// The only interface to threads. Only parallel.cpp uses OpenMP.
//
// A child process forked after a threaded call does not have the thread pool of its parent, and
// would hang if it used it. Such a child therefore runs everything serially.
#pragma once

#include <cstdint>
#include <functional>

namespace skmm {

// The number of threads to use if the caller gives none: OpenMP's default, which is the number of
// processors that the process may run on, or what OMP_NUM_THREADS or omp_set_num_threads() say; but
// without OMP_NUM_THREADS no more than the quota of the container. It is 1 without OpenMP.
int default_threads();

// The number of threads that a request for n_threads gets at present. It is 1 in a forked child,
// and fewer than n_threads where the system cannot start as many.
int team_size(int n_threads);

// Makes everything run serially from now on. A child that is forked after this library was loaded
// does this by itself. A child that was forked earlier must call it if its parent used the OpenMP
// runtime for other work.
void run_serially();

// The number of threads, at most n_threads, that this many multiply-adds are worth: starting a team
// takes as long as some thousands of them.
int worth(double work, int n_threads);

// Runs f(block, slot) for every block in [0, n_blocks), on at most n_threads threads. Concurrent
// calls have different slots in [0, n_threads), which may index scratch memory. If f throws, one
// of its exceptions is thrown again after the calls that have begun; other blocks may have run.
// Every call rounds to nearest and keeps subnormal numbers (standard_floats.hpp).
// Where a team turned out slower than the calling thread alone, because other work keeps the
// processors busy, the calling thread works alone for a while.
void parallel_blocks(std::int64_t n_blocks, int n_threads,
                     const std::function<void(std::int64_t block, int slot)>& f);

constexpr std::int64_t kSumBlock = 4096;  // indices per block; it fixes the order of summation

// Calls f(first, last) for the consecutive blocks of kSumBlock indices that cover [0, n).
void for_blocks(std::int64_t n, int n_threads,
                const std::function<void(std::int64_t first, std::int64_t last)>& f);

}  // namespace skmm
