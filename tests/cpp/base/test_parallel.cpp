#include <sys/wait.h>
#include <unistd.h>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>

#include "../support/check.hpp"
#include "skmm/base/parallel.hpp"
#include "skmm/base/types.hpp"

using namespace skmm;

TEST(every_block_runs_once_in_a_slot_of_its_own) {
    for (const i64 n_blocks : {0, 1, 2, 7, 1000}) {
        for (const int threads : {1, 2, 3, 8}) {
            std::vector<std::atomic<int>> runs(n_blocks), busy(threads);
            std::atomic<int> faults{0};
            parallel_blocks(n_blocks, threads, [&](i64 block, int slot) {
                if (slot < 0 || slot >= threads) {
                    ++faults;
                    return;
                }
                if (busy[slot]++ != 0) ++faults;
                ++runs[block];
                --busy[slot];
            });
            CHECK(faults == 0);
            for (const auto& count : runs) CHECK(count == 1);
        }
    }
}

#if defined(__SSE2__)
TEST(blocks_keep_subnormal_numbers_whatever_the_program_has_set) {
    const unsigned before = _mm_getcsr(), flushing = before | 0x8040;
    volatile float least = 1e-41f, half = 0.5f;
    _mm_setcsr(flushing);
    volatile float flushed = least * half;
    for (const int threads : {1, 2, 4}) {
        std::atomic<int> kept{0};
        parallel_blocks(64, threads, [&](i64, int) { kept += least * half != 0.0f; });
        CHECK(kept == 64);
        CHECK((_mm_getcsr() & 0x8040) == 0x8040);
    }
    _mm_setcsr(before);
    CHECK(flushed == 0.0f);
}
#endif

TEST(one_thread_runs_the_blocks_in_order_by_itself) {
    const std::thread::id here = std::this_thread::get_id();
    i64 next = 0;
    parallel_blocks(100, 1, [&](i64 block, int slot) {
        CHECK(block == next++ && slot == 0 && std::this_thread::get_id() == here);
    });
    CHECK(next == 100);
}

TEST(blocks_of_indices_cover_them_once) {
    for (const i64 n :
         {i64{0}, i64{1}, kSumBlock - 1, kSumBlock, kSumBlock + 1, 50 * kSumBlock + 7}) {
        for (const int threads : {1, 3}) {
            std::vector<std::atomic<int>> seen(n);
            std::atomic<int> faults{0};
            for_blocks(n, threads, [&](i64 first, i64 last) {
                if (first % kSumBlock != 0 || last != std::min(n, first + kSumBlock)) ++faults;
                for (i64 i = first; i < last; ++i) ++seen[i];
            });
            CHECK(faults == 0);
            for (const auto& count : seen) CHECK(count == 1);
        }
    }
}

TEST(a_team_has_at_most_the_threads_asked_for) {
    CHECK(default_threads() >= 1);
    CHECK(team_size(1) == 1);
    for (const int threads : {2, 3})
        CHECK(team_size(threads) >= 1 && team_size(threads) <= threads);
}

// The threads of the parent do not exist in a forked child, which must not wait for them.
TEST(a_forked_child_runs_serially) {
    parallel_blocks(8, 2, [](i64, int) {});  // the parent has its threads now
    const pid_t child = fork();
    if (child == 0) {
        i64 next = 0;
        bool serial = default_threads() == 1 && team_size(4) == 1;
        parallel_blocks(
            100, 4, [&](i64 block, int slot) { serial = serial && block == next++ && slot == 0; });
        _exit(serial && next == 100 ? 0 : 1);
    }
    int status = -1;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

// In a thread of its own, which has not seen a slow team.
TEST(an_exception_of_a_block_comes_out_and_the_others_run) {
    for (const int threads : {1, 3}) {
        std::thread([threads] {
            std::atomic<int> ran{0};
            bool thrown = false;
            try {
                parallel_blocks(50, threads, [&](std::int64_t b, int) {
                    if (b == 20) throw std::runtime_error("block 20");
                    ++ran;
                });
            } catch (const std::runtime_error& error) {
                thrown = std::string(error.what()) == "block 20";
            }
            CHECK(thrown);
            CHECK(ran == (team_size(threads) == 1 ? 20 : 49));  // one thread stops at the block
        }).join();
    }
}

TEST(little_work_is_worth_one_thread) {
    CHECK(worth(0.0, 8) == 1);
    CHECK(worth(1e5, 8) == 1);
    CHECK(worth(1e6, 8) > 1);
    CHECK(worth(1e300, 8) == 8);
    CHECK(worth(1e300, 1) == 1);
}

// Threads other than the caller wait for a while, as they do where other work has the processors.
// In a thread of its own, since each caller remembers for itself.
TEST(after_a_slow_team_the_caller_works_alone_for_a_while) {
    if (team_size(2) < 2) return;
    std::thread([] {
        for (int attempt = 0; attempt < 20; ++attempt) {
            std::atomic<bool> taken{false}, alone{true};
            std::atomic<int> ran{0};
            parallel_blocks(2, 2, [&](i64, int slot) {
                if (slot != 0) taken = true;
                // The caller leaves the other block to the other thread if that comes soon.
                for (int ms = 0; ms < (slot == 0 ? 100 : 1000) && !(slot == 0 && taken); ++ms)
                    std::this_thread::sleep_for(std::chrono::milliseconds(1));
            });
            parallel_blocks(20, 2, [&](i64, int slot) {
                if (slot != 0) alone = false;
                ++ran;
            });
            CHECK(ran == 20);
            if (taken && alone) return;
        }
        CHECK(false);  // no other thread ever took a block, or the caller never worked alone
    }).join();
}
