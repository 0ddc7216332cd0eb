#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
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
         {i64{0}, i64{1}, kSumBlock - 1, kSumBlock, kSumBlock + 1, 5 * kSumBlock + 7}) {
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

TEST(block_sums_are_added_in_the_order_of_the_blocks) {
    for (const i64 n : {i64{0}, i64{1}, kSumBlock, 9 * kSumBlock + 5}) {
        const std::vector<double> x = check::normals<double>(n);
        const auto part = [&](i64 first, i64 last) {
            double sum = 0.0;
            for (i64 i = first; i < last; ++i) sum += x[i];
            return sum;
        };
        double plain = 0.0;
        for (i64 first = 0; first < n; first += kSumBlock)
            plain += part(first, std::min(n, first + kSumBlock));
        for (const int threads : {1, 2, 3, 8}) CHECK(block_sum(n, threads, part) == plain);
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

TEST(an_exception_of_a_block_comes_out_and_the_others_run) {
    for (const int threads : {1, 3}) {
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
    }
}
