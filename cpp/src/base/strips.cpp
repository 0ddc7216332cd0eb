// Sums over strips along a binary tree, and over ranks.
#include "skmm/base/strips.hpp"

#include <algorithm>

#include "skmm/base/memory.hpp"
#include "skmm/base/parallel.hpp"
#include "skmm/base/types.hpp"

namespace skmm {
namespace {

constexpr i64 kLeastStrip = 2048, kMostStrips = 256;

i64 strip_length(i64 n_rows) {
    i64 length = kLeastStrip;
    while (ceil_div(n_rows, length) > kMostStrips) length *= 2;
    return length;
}

// The strips [first, last) that a rank has of all.
Range strips_of_rank(i64 all, i64 size, i64 rank) {
    return {all * rank / size, all * (rank + 1) / size};
}

using Branch = Strips::Branch;

// The largest branches of at most so many strips that cover the strips [first, last), in order.
std::vector<Branch> branches_of(Range strips, i64 most) {
    std::vector<Branch> branches;
    for (i64 t = strips.first; t < strips.last; t += branches.back().size) {
        i64 size = 1;
        while (2 * size <= most && t % (2 * size) == 0 && t + 2 * size <= strips.last) size *= 2;
        branches.push_back({t, size});
    }
    return branches;
}

// Sums of branches that come in order. Two branches that make a larger one are added at once, so
// that no more than one of each size is kept.
class TreeSum {
public:
    explicit TreeSum(i64 width) : width_(width) {}

    // Returns where the sum of the next branch goes.
    double* next() {
        sums_.resize(at(static_cast<i64>(branches_.size() + 1) * width_));
        return sums_.data() + static_cast<i64>(branches_.size()) * width_;
    }
    void push(Branch branch) {
        branches_.push_back(branch);
        while (branches_.size() > 1) {
            const Branch left = branches_.end()[-2], right = branches_.back();
            if (left.size != right.size || left.first % (2 * left.size) != 0) break;
            merge();
        }
    }
    const std::vector<Branch>& branches() const { return branches_; }
    const double* sums() const { return sums_.data(); }  // (branches, width)

    // The tree ends where the strips end, so the branches that are left lack right neighbours.
    void total(double* sum) {
        while (branches_.size() > 1) merge();
        if (branches_.empty())
            std::fill_n(sum, width_, 0.0);
        else
            std::copy_n(sums_.begin(), width_, sum);
    }

private:
    void merge() {
        double* const right = sums_.data() + static_cast<i64>(branches_.size() - 1) * width_;
        for (i64 e = 0; e < width_; ++e) right[e - width_] += right[e];
        branches_.pop_back();
        branches_.back().size *= 2;
    }

    i64 width_;
    std::vector<Branch> branches_;
    std::vector<double> sums_;
};

}  // namespace

Range rows_of_rank(i64 n_rows, i64 size, i64 rank) {
    const i64 length = strip_length(n_rows);
    const Range strips = strips_of_rank(ceil_div(n_rows, length), size, rank);
    return {std::min(n_rows, strips.first * length), std::min(n_rows, strips.last * length)};
}

Strips::Strips(i64 n_rows, Ranks ranks)
    : ranks_(std::move(ranks)), all_(ceil_div(n_rows, strip_length(n_rows))) {
    const Range strips = strips_of_rank(all_, ranks_.size, ranks_.rank);
    const Range rows = rows_of_rank(n_rows, ranks_.size, ranks_.rank);
    first_ = strips.first;
    first_row_ = rows.first;
    for (i64 t = strips.first; t <= strips.last; ++t)
        bounds_.push_back(std::min(t * strip_length(n_rows), n_rows) - rows.first);
}

Strips Strips::of_some(std::vector<i64> bounds) const {
    Strips some = *this;
    some.bounds_ = std::move(bounds);
    return some;
}

std::vector<Strips::Block> Strips::blocks() const {
    std::vector<Block> blocks;
    for (i64 t = 0; t < count(); ++t)
        for (i64 i = strip(t).first; i < strip(t).last; i += kSumBlock)
            blocks.push_back({t, i, std::min(i + kSumBlock, strip(t).last)});
    return blocks;
}

std::vector<Branch> Strips::branches(i64 most) const {
    return branches_of({first_, first_ + count()}, most);
}

void Strips::add(const std::vector<Branch>& mine_in_order, i64 width,
                 const std::function<void(i64, double*)>& next, double* total) const {
    TreeSum here(width);
    for (std::size_t i = 0; i < mine_in_order.size(); ++i) {
        next(static_cast<i64>(i), here.next());
        here.push(mine_in_order[i]);
    }
    if (ranks_.size == 1) return here.total(total);
    std::vector<std::vector<Branch>> of_ranks;
    std::size_t most = 0;
    for (i64 rank = 0; rank < ranks_.size; ++rank) {
        of_ranks.push_back(branches_of(strips_of_rank(all_, ranks_.size, rank), kMostStrips));
        most = std::max(most, of_ranks.back().size());
    }
    const i64 sent = static_cast<i64>(most) * width;
    std::vector<double> mine(here.sums(),
                             here.sums() + at(static_cast<i64>(here.branches().size()) * width));
    mine.resize(at(sent));
    std::vector<double> all(at(ranks_.size * sent));
    ranks_.gather(mine.data(), sent, all.data());
    TreeSum tree(width);
    for (i64 rank = 0; rank < ranks_.size; ++rank) {
        const double* sum = all.data() + rank * sent;
        for (const Branch& branch : of_ranks[at(rank)]) {
            std::copy_n(sum, width, tree.next());
            tree.push(branch);
            sum += width;
        }
    }
    tree.total(total);
}

namespace {

// x of each rank in turn, put together entry by entry.
template <class Two>
std::vector<double> together(const Ranks& ranks, std::vector<double> x, const Two& two) {
    if (ranks.size == 1) return x;
    std::vector<double> all(at(ranks.size) * x.size());
    ranks.gather(x.data(), static_cast<i64>(x.size()), all.data());
    std::copy_n(all.begin(), x.size(), x.begin());
    for (std::size_t e = x.size(); e < all.size(); ++e)
        x[e % x.size()] = two(x[e % x.size()], all[e]);
    return x;
}

}  // namespace

std::vector<double> Strips::sum(std::vector<double> x) const {
    return together(ranks_, std::move(x), [](double a, double b) { return a + b; });
}

std::vector<double> Strips::largest(std::vector<double> x) const {
    return together(ranks_, std::move(x), [](double a, double b) { return std::max(a, b); });
}

std::vector<double> Strips::of_all(std::vector<double> mine) const {
    if (ranks_.size == 1) return mine;
    const double size = static_cast<double>(mine.size());
    std::vector<double> sizes(at(ranks_.size));
    ranks_.gather(&size, 1, sizes.data());
    const double most = *std::max_element(sizes.begin(), sizes.end());
    mine.resize(static_cast<std::size_t>(most));
    std::vector<double> padded(sizes.size() * mine.size()), all;
    ranks_.gather(mine.data(), static_cast<i64>(mine.size()), padded.data());
    for (std::size_t rank = 0; rank < sizes.size(); ++rank) {
        const auto first = padded.begin() + static_cast<std::ptrdiff_t>(rank * mine.size());
        all.insert(all.end(), first, first + static_cast<std::ptrdiff_t>(sizes[rank]));
    }
    return all;
}

std::vector<double> Strips::of_rows(const std::vector<i64>& rows, i64 width,
                                    const std::function<void(i64, double*)>& f) const {
    std::vector<double> mine;  // for each row: its place in the list, and its numbers
    for (std::size_t place = 0; place < rows.size(); ++place) {
        const i64 i = rows[place] - first_row_;
        if (i < 0 || i >= n_rows()) continue;
        mine.push_back(static_cast<double>(place));
        mine.resize(mine.size() + at(width));
        f(i, mine.data() + mine.size() - width);
    }
    const std::vector<double> all = of_all(std::move(mine));
    std::vector<double> listed(rows.size() * at(width));
    for (std::size_t e = 0; e < all.size(); e += at(width + 1))
        std::copy_n(&all[e + 1], width, &listed[static_cast<std::size_t>(all[e]) * at(width)]);
    return listed;
}

void sum_rows(const Strips& strips, i64 width, int n_threads, const Tick& tick,
              const std::function<void(const Strips::Block&, int, double*)>& f, double* total) {
    constexpr i64 kSlice = 64;  // blocks whose sums are kept at a time
    const std::vector<Strips::Block> blocks = strips.blocks();
    const i64 count = static_cast<i64>(blocks.size());
    const Scratch<double> parts(std::min(kSlice, count) * width);
    i64 made = 0, used = 0;  // blocks that are summed; that are added
    const auto make = [&] {
        tick(blocks[at(made)].first);
        const i64 from = made, here = std::min(kSlice, count - made);
        parallel_blocks(here, n_threads, [&](i64 b, int slot) {
            f(blocks[at(from + b)], slot, parts.data() + b * width);
        });
        made += here;
    };
    strips.add(
        strips.branches(1), width,
        [&](i64 strip, double* sum) {
            std::fill_n(sum, width, 0.0);
            for (; used < count && blocks[at(used)].strip == strip; ++used) {
                if (used == made) make();
                const double* const part = parts.data() + used % kSlice * width;
                for (i64 e = 0; e < width; ++e) sum[e] += part[e];
            }
        },
        total);
}

}  // namespace skmm
