// The only interface to threads. parallel.cpp is the only file that knows OpenMP.
#pragma once

#include <cstdint>
#include <functional>

namespace skmm {

// Threads used where a caller asks for none in particular (OpenMP's default; 1 without OpenMP).
int default_threads();

// Size of the team that a request for n_threads gets here and now; 1 in a forked child.
int team_size(int n_threads);

// From now on everything runs serially. A child forked after this library was loaded does so by
// itself; this is for one that was forked before, whose parent used the OpenMP runtime otherwise.
void run_serially();

// Runs f(block, slot) for every block in [0, n_blocks), on at most n_threads threads.
// slot < n_threads tells concurrent calls apart (scratch memory). f must not throw.
// In a forked child blocks run serially: the parent's pool does not exist there.
void parallel_blocks(std::int64_t n_blocks, int n_threads,
                     const std::function<void(std::int64_t block, int slot)>& f);

constexpr std::int64_t kSumBlock = 4096;  // indices per block: fixes the order of summation

// Σ f(first, last) over consecutive blocks of [0, n), added in order: the same bits for any
// n_threads.
double block_sum(std::int64_t n, int n_threads,
                 const std::function<double(std::int64_t first, std::int64_t last)>& f);

// f(first, last) over the same blocks.
void for_blocks(std::int64_t n, int n_threads,
                const std::function<void(std::int64_t first, std::int64_t last)>& f);

// Called between pieces of long work, from the calling thread, outside parallel regions, with the
// number of pieces done. May throw to stop the work.
using Tick = std::function<void(std::int64_t done)>;

}  // namespace skmm
