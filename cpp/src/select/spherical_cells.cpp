// Spherical k-means. A set finds its centres on one thread, so that many sets keep many threads
// busy and the order of sums does not depend on them.
#include "skmm/select/spherical_cells.hpp"

#include <algorithm>
#include <cmath>
#include <deque>
#include <vector>

#include "../linalg/column_strips.hpp"
#include "../linalg/row_block.hpp"
#include "skmm/base/parallel.hpp"
#include "skmm/base/philox.hpp"

namespace skmm {
namespace {

constexpr i64 kSets = 64;           // sets between two ticks
constexpr i64 kBlocks = 1 << 14;    // blocks of rows between two ticks
constexpr double kAllAlike = 1e-9;  // mean distance to the centres from which on rows are alike

// For rows x (n, k) the nearest of the centres in the strips. y (n, strips.width()) is overwritten.
template <class T>
void nearest_of_block(const ColumnStrips& strips, const T* x, i64 n, T* y, i64* which,
                      double* product) {
    strips.multiply(x, n, y);
    for (i64 i = 0; i < n; ++i) {
        const T* const row = y + i * strips.width();
        const T* const best = std::max_element(row, row + strips.columns());
        which[i] = best - row;
        product[i] = static_cast<double>(*best) * strips.scale();
    }
}

// The rows of one set, scaled to norm 1, and its centres.
template <class T>
class Set {
public:
    template <class View>
    Set(View z, const i64* rows, i64 n, i64 count, double* centres)
        : n_(n), k_(z.cols), count_(count), centres_(centres), x_(at(n * k_)), left_(at(n)) {
        const std::vector<double> ones(at(k_), 1.0);
        for (i64 i = 0; i < n; ++i) {
            T* const row = x_.data() + i * k_;
            copy_row(z, rows[i], row);
            double square;
            kernels().of<T>().square_dots(row, 1, k_, ones.data(), &square);
            left_[at(i)] = square > 0.0 ? 1.0 : 0.0;  // a row of zeros has no direction
            const double scale = square > 0.0 ? 1.0 / std::sqrt(square) : 0.0;
            for (i64 j = 0; j < k_; ++j)
                row[j] = static_cast<T>(scale * static_cast<double>(row[j]));
        }
    }

    void draw_first(u64 seed) {
        std::vector<double> cosine(at(n_));
        for (i64 c = 0; c < count_; ++c) {
            const T* const row = x_.data() + drawn(uniform(seed, kCells, static_cast<u64>(c))) * k_;
            double* const centre = centres_ + c * k_;
            std::copy_n(row, k_, centre);
            kernels().of<T>().dots(x_.data(), n_, k_, centre, cosine.data());
            for (i64 i = 0; i < n_; ++i)
                left_[at(i)] = std::min(left_[at(i)], std::max(1.0 - cosine[at(i)], 0.0));
        }
    }

    void sweep() {
        const ColumnStrips strips(k_, count_, centres_, 1, k_);
        std::vector<T> y(at(kStripRows * strips.width()));
        std::vector<i64> which(at(kStripRows));
        std::vector<double> product(at(kStripRows)), sums(at(count_ * k_));
        for (i64 first = 0; first < n_; first += kStripRows) {
            const i64 n = std::min(kStripRows, n_ - first);
            nearest_of_block(strips, x_.data() + first * k_, n, y.data(), which.data(),
                             product.data());
            for (i64 i = 0; i < n; ++i) {
                const T* const row = x_.data() + (first + i) * k_;
                double* const sum = sums.data() + which[at(i)] * k_;
                for (i64 j = 0; j < k_; ++j) sum[j] += static_cast<double>(row[j]);
            }
        }
        for (i64 c = 0; c < count_; ++c) {
            const double* const sum = sums.data() + c * k_;
            double square = 0.0;
            for (i64 j = 0; j < k_; ++j) square += sum[j] * sum[j];
            if (square == 0.0) continue;  // no rows are nearest to it
            for (i64 j = 0; j < k_; ++j) centres_[c * k_ + j] = sum[j] / std::sqrt(square);
        }
    }

private:
    // The row at the fraction u of what is left; of all rows where next to nothing is.
    i64 drawn(double u) const {
        double total = 0.0;
        for (const double x : left_) total += x;
        if (total <= kAllAlike * static_cast<double>(n_))
            return std::min(static_cast<i64>(u * static_cast<double>(n_)), n_ - 1);
        double sum = 0.0;
        i64 last = 0;
        for (i64 i = 0; i < n_; ++i) {
            if (left_[at(i)] == 0.0) continue;
            last = i;
            sum += left_[at(i)];
            if (sum > u * total) break;
        }
        return last;
    }

    i64 n_, k_, count_;
    double* centres_;  // (count, k)
    std::vector<T> x_;
    std::vector<double> left_;  // 1 - the largest cosine to the centres drawn
};

}  // namespace

template <class View>
void spherical_centres(View z, const RowSets& sets, const u64* seeds, int sweeps, int n_threads,
                       const Tick& tick, double* centres) {
    for (i64 from = 0; from < sets.sets; from += kSets) {
        tick(sets.first[from]);
        parallel_blocks(std::min(kSets, sets.sets - from), n_threads, [&](i64 b, int) {
            const i64 g = from + b, first = sets.first[g], of = sets.first_centre[g];
            const i64 count = sets.first_centre[g + 1] - of;
            if (count == 0) return;
            Set<Element<View>> set(z, sets.rows + first, sets.first[g + 1] - first, count,
                                   centres + of * z.cols);
            set.draw_first(seeds[g]);
            for (int s = 0; s < sweeps; ++s) set.sweep();
        });
    }
}

template <class View>
void nearest_centre(View z, const RowSets& sets, MatrixView<double> centres, int n_threads,
                    const Tick& tick, i64* which, double* product) {
    using T = Element<View>;
    struct Block {
        const ColumnStrips* strips;
        i64 first, rows;
    };
    const i64 k = z.cols;
    std::deque<ColumnStrips> strips;  // of each set
    std::vector<Block> blocks;
    i64 width = 0;
    for (i64 g = 0; g < sets.sets; ++g) {
        const i64 of = sets.first_centre[g], count = sets.first_centre[g + 1] - of;
        strips.emplace_back(k, count, centres.row(of), 1, centres.stride);
        width = std::max(width, strips.back().width());
        for (i64 t = sets.first[g]; t < sets.first[g + 1]; t += kStripRows)
            blocks.push_back({&strips.back(), t, std::min(kStripRows, sets.first[g + 1] - t)});
    }
    const i64 total = static_cast<i64>(blocks.size()), room = kStripRows * (k + width);
    const Scratch<T> rooms(n_threads * room);
    for (i64 from = 0; from < total; from += kBlocks) {
        tick(blocks[at(from)].first);
        parallel_blocks(std::min(kBlocks, total - from), n_threads, [&](i64 b, int slot) {
            const Block& block = blocks[at(from + b)];
            T *const x = rooms.data() + slot * room, *const y = x + kStripRows * k;
            for (i64 i = 0; i < block.rows; ++i) copy_row(z, sets.rows[block.first + i], x + i * k);
            nearest_of_block(*block.strips, x, block.rows, y, which + block.first,
                             product + block.first);
        });
    }
}

#define SKMM_SPHERICAL_CELLS(View)                                                                 \
    template void spherical_centres(View, const RowSets&, const u64*, int, int, const Tick&,       \
                                    double*);                                                      \
    template void nearest_centre(View, const RowSets&, MatrixView<double>, int, const Tick&, i64*, \
                                 double*);
SKMM_SPHERICAL_CELLS(MatrixView<float>)
SKMM_SPHERICAL_CELLS(MatrixView<double>)
SKMM_SPHERICAL_CELLS(HalfView)

}  // namespace skmm
