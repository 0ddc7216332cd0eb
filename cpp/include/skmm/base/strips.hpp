// Sums over all rows of a matrix, with the same bits for any number of threads and of processes.
// Strips is the only interface to other processes that hold rows of the same matrix ("ranks").
//
// The N rows are cut into at most 256 strips. Their length depends on N alone: it is the least
// 2048 2^j that does. A sum over rows is made in blocks, the sums of the blocks of a strip are
// added in order, and those of the strips along a fixed binary tree: strips 2t and 2t + 1, then
// such pairs, and so on. Each rank holds consecutive strips. It sends the sums of the largest whole
// branches of the tree that it has, at most 16.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "skmm/base/tick.hpp"

namespace skmm {

// The processes that hold rows of one matrix. All of them make the same calls in the same order.
struct Ranks {
    std::int64_t size = 1, rank = 0;
    // Fills all (size, count) with the `count` numbers that each rank gives. It may throw. It is
    // called from the calling thread, outside parallel regions, and only if size > 1.
    std::function<void(const double* mine, std::int64_t count, double* all)> gather;
};

// The rows [first, last).
struct Range {
    std::int64_t first, last;
};

// The rows that the rank holds of a matrix of n_rows rows on all ranks. There may be none.
Range rows_of_rank(std::int64_t n_rows, std::int64_t size, std::int64_t rank);

class Strips {
public:
    // Those of a matrix of n_rows rows on all ranks, 2^62 at most.
    explicit Strips(std::int64_t n_rows, Ranks ranks = {});
    // Those of some of these rows, listed strip after strip: bounds[t] is how many of them lie in
    // the strips before t that are here.
    Strips of_some(std::vector<std::int64_t> bounds) const;

    std::int64_t count() const { return static_cast<std::int64_t>(bounds_.size()) - 1; }
    std::int64_t n_rows() const { return bounds_.back(); }  // here
    // The number, in the whole matrix, of the first row here; for all of its rows.
    std::int64_t first_row() const { return first_row_; }
    Range strip(std::int64_t t) const { return {bounds_[index(t)], bounds_[index(t + 1)]}; }
    const Ranks& ranks() const { return ranks_; }

    // A block is at most kSumBlock consecutive rows of one strip.
    struct Block {
        std::int64_t strip, first, last;
    };
    std::vector<Block> blocks() const;  // that cover the rows here, in order

    // A branch of the tree: the strips [first, first + size) of all ranks, where size is a power of
    // two that divides first.
    struct Branch {
        std::int64_t first, size;
    };
    // The largest branches of at most so many strips that cover the strips here, in order.
    std::vector<Branch> branches(std::int64_t most) const;
    // The number here of the first strip of a branch.
    std::int64_t strip_here(const Branch& branch) const { return branch.first - first_; }

    // total (width) = the sum over the strips of all ranks. next(i, sum) sets sum (width) to that
    // of branch i of those here; they come in order.
    void add(const std::vector<Branch>& branches, std::int64_t width,
             const std::function<void(std::int64_t i, double* sum)>& next, double* total) const;

    // The sum of x over the ranks, entry by entry, where it is exact: of whole numbers.
    std::vector<double> sum(std::vector<double> x) const;
    // The largest x of all ranks, entry by entry.
    std::vector<double> largest(std::vector<double> x) const;
    // The numbers that each rank gives, one rank after the other; any number of them.
    std::vector<double> of_all(std::vector<double> mine) const;
    // Returns (rows.size(), width) on every rank: what f(i, out) puts into out (width) for each of
    // the rows listed, whose numbers are those in the whole matrix. f is called for those here,
    // with i counted from the first row here.
    std::vector<double> of_rows(const std::vector<std::int64_t>& rows, std::int64_t width,
                                const std::function<void(std::int64_t i, double* out)>& f) const;

private:
    static std::size_t index(std::int64_t t) { return static_cast<std::size_t>(t); }

    Ranks ranks_;
    std::int64_t all_ = 0;    // the strips of all ranks
    std::int64_t first_ = 0;  // the number of the first strip here
    std::int64_t first_row_ = 0;
    std::vector<std::int64_t> bounds_;  // (count() + 1)
};

// total (width) = Σ over the rows of all ranks. f sets part (width) to the sum over one block; it
// runs on many threads, and `slot` is as in parallel_blocks(). The tick is called with the number
// of rows summed.
void sum_rows(const Strips& strips, std::int64_t width, int n_threads, const Tick& tick,
              const std::function<void(const Strips::Block& block, int slot, double* part)>& f,
              double* total);

}  // namespace skmm
