// Products over rows, cut into blocks and panels for the kernels, with a fixed order of summation.
#include "skmm/linalg/products.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "column_strips.hpp"
#include "row_block.hpp"
#include "skmm/base/memory.hpp"
#include "skmm/base/parallel.hpp"
#include "skmm/base/types.hpp"
#include "skmm/simd/kernels.hpp"

namespace skmm {
namespace {

// The rows that are multiplied together. One panel of them takes 32 KB, part of the L1 cache.
constexpr i64 kBlock = 128;
// sum_unit_rows() cuts the rows into at most this many parts, and second_moment() makes the sums of
// so many strips at a time.
constexpr i64 kSums = 32;
// The most numbers in sums that are made at a time. A large k leads to fewer, at least 4.
constexpr i64 kRoom = 1 << 25;
// The multiply-adds made for a part between two ticks.
constexpr i64 kWork = 1 << 28;

// Returns row i of z, in place or in the scratch memory room (z.cols).
template <class View>
const Element<View>* row(const View& z, i64 i, Element<View>* room) {
    return piece(z, i, 0, static_cast<int>(z.cols), room);
}

// The number of panels of kPanel columns that hold k columns.
i64 panels(i64 k) { return ceil_div(k, kPanel); }

// Up to kBlock rows P (rows, k) in doubles, stored as panels (panels, kBlock, kPanel) of their
// columns. Columns from k on are zero.
class Panels {
public:
    Panels(i64 k, double* data) : k_(k), data_(data) {}
    static i64 size(i64 k) { return panels(k) * kBlock * kPanel; }

    // Appends scale * row.
    template <class T>
    void push(const T* row, double scale) {
        for (i64 p = 0; p < panels(k_); ++p) {
            const i64 width = std::min<i64>(kPanel, k_ - p * kPanel);
            double* out = panel(p) + rows_ * kPanel;
            for (i64 j = 0; j < width; ++j)
                out[j] = scale * static_cast<double>(row[p * kPanel + j]);
            std::fill(out + width, out + kPanel, 0.0);
        }
        ++rows_;
    }
    bool full() const { return rows_ == kBlock; }

    // Adds PᵀP to m (k, panels * kPanel) and removes all rows. Only the panels on and above the
    // diagonal of m are computed.
    void flush(double* m) {
        const i64 ld = panels(k_) * kPanel;
        for (i64 a = 0; a < panels(k_); ++a) {
            const i64 rows = std::min<i64>(kPanel, k_ - a * kPanel);
            for (i64 b = a; b < panels(k_); ++b)
                kernels().any.gemm_panel(panel(a), 1, kPanel, rows, static_cast<int>(rows_),
                                         panel(b), m + a * kPanel * ld + b * kPanel, ld);
        }
        rows_ = 0;
    }

private:
    double* panel(i64 p) const { return data_ + p * kBlock * kPanel; }

    i64 k_, rows_ = 0;
    double* data_;
};

}  // namespace

template <class View>
void second_moment(View z, const double* s, const Strips& strips, int n_threads, const Tick& tick,
                   double* m) {
    const i64 k = z.cols, ld = panels(k) * kPanel, size = k * ld, triangle = k * (k + 1) / 2;
    const i64 step = std::max(kWork / (k * k) / kBlock, i64{1}) * kBlock;
    i64 longest = 0;
    for (i64 t = 0; t < strips.count(); ++t)
        longest = std::max(longest, strips.strip(t).last - strips.strip(t).first);
    // A block makes the sum of a branch of strips. Where strips are long, it is one of them.
    i64 of_branch = 1, depth = 1;  // strips, and the sums that are kept while they are added
    for (; longest <= step && 2 * of_branch * kSums <= strips.count(); of_branch *= 2) ++depth;
    const std::vector<Strips::Branch> branches = strips.branches(of_branch);
    const i64 count = static_cast<i64>(branches.size());
    const i64 most = std::min(count, std::clamp<i64>(kRoom / size, 4, kSums));
    const Scratch<double> sums(most * size), rooms(n_threads * Panels::size(k));
    const Scratch<double> kept(depth > 1 ? n_threads * depth * size : 0);
    const i64 row_room = room_for(z, 1);
    const Scratch<Element<View>> row_rooms(n_threads * row_room);
    // Calls f(first, count) for the parts of a sum (k, ld) on and above its diagonal, in panels.
    const auto for_upper = [&](const auto& f) {
        for (i64 a = 0; a < k; ++a) {
            const i64 left = a / kPanel * kPanel;
            f(a * ld + left, ld - left);
        }
    };
    // Adds rows of strip t, from row `from` of it on, to sum (k, ld).
    const auto add_rows = [&](i64 t, i64 from, int slot, double* sum) {
        Panels block(k, rooms.data() + slot * Panels::size(k));
        const Range rows = strips.strip(t);
        const i64 last = std::min(rows.last, rows.first + from + step);
        for (i64 i = rows.first + from; i < last; ++i) {
            const double weight = s == nullptr ? 1.0 : s[i];
            if (weight == 0.0) continue;
            block.push(row(z, i, row_rooms.data() + slot * row_room), std::sqrt(weight));
            if (block.full()) block.flush(sum);
        }
        block.flush(sum);
    };
    const auto make_branch = [&](const Strips::Branch& branch, int slot, double* sum) {
        double* const room = kept.data() + slot * depth * size;
        i64 open = 0;  // sums in `room`, of branches that wait for their neighbours
        for (i64 t = 0; t < branch.size; ++t) {
            double* const next = room + open * size;
            for_upper([&](i64 first, i64 count) { std::fill_n(next + first, count, 0.0); });
            add_rows(strips.strip_here(branch) + t, 0, slot, room + open++ * size);
            for (i64 made = t + 1; made % 2 == 0; made /= 2) {
                double *const right = room + --open * size, *const left = right - size;
                for_upper([&](i64 first, i64 count) {
                    for (i64 e = first; e < first + count; ++e) left[e] += right[e];
                });
            }
        }
        std::copy_n(room, size, sum);
    };
    const auto make = [&](i64 first, i64 some) {
        for (i64 from = 0; from < std::max(longest, i64{1}); from += step) {
            tick(std::min(strips.strip(strips.strip_here(branches[at(first)])).first + from * some,
                          z.rows));
            parallel_blocks(some, n_threads, [&](i64 b, int slot) {
                const Strips::Branch& branch = branches[at(first + b)];
                double* const sum = sums.data() + b * size;
                if (branch.size > 1) return make_branch(branch, slot, sum);
                if (from == 0) std::fill_n(sum, size, 0.0);
                add_rows(strips.strip_here(branch), from, slot, sum);
            });
        }
    };
    const Scratch<double> total(triangle);
    strips.add(
        branches, triangle,
        [&](i64 i, double* sum) {
            if (i % most == 0) make(i, std::min(most, count - i));
            for (i64 a = 0; a < k; ++a)
                sum = std::copy_n(sums.data() + i % most * size + a * ld + a, k - a, sum);
        },
        total.data());
    const double* entry = total.data();
    for (i64 a = 0; a < k; ++a)
        for (i64 b = a; b < k; ++b) m[a * k + b] = m[b * k + a] = *entry++;
}

namespace {

// Multiplies `count` rows with D (k, d) and calls f(first, n, p, y) for the products y (n, kPanel)
// of the rows [first, first + n) with panel p of D. Columns of y beyond the last column of D are
// zero. For a given row, the panels come in order.
template <class View, class F>
void for_products(View z, const i64* rows, i64 count, MatrixView<double> d, int n_threads,
                  const Tick& tick, const F& f) {
    const i64 k = z.cols, width = panels(d.cols) * kPanel;
    const Scratch<double> strips(k * width);  // D as (panels, k, kPanel)
    std::vector<int>
        depth;  // of each panel, without the rows of zeros at its end, as triangles have
    for (i64 p = 0; p < panels(d.cols); ++p) {
        const i64 used = std::min<i64>(kPanel, d.cols - p * kPanel);
        for (i64 c = 0; c < k; ++c) {
            double* out = strips.data() + (p * k + c) * kPanel;
            std::copy_n(d.row(c) + p * kPanel, used, out);
            std::fill(out + used, out + kPanel, 0.0);
        }
        const double *const strip = strips.data() + p * k * kPanel, *end = strip + k * kPanel;
        while (end > strip && end[-1] == 0.0) --end;
        depth.push_back(static_cast<int>(ceil_div(end - strip, kPanel)));
    }
    const i64 room = kBlock * (k + kPanel);
    const Scratch<double> rooms(n_threads * room);
    const i64 row_room = room_for(z, 1);
    const Scratch<Element<View>> row_rooms(n_threads * row_room);
    const i64 step = std::max(kWork / (k * width) / kBlock, i64{1}) * kBlock * kSums;
    for (i64 from = 0; from < count; from += step) {
        tick(from);
        const i64 here = std::min(step, count - from);
        parallel_blocks(ceil_div(here, kBlock), n_threads, [&](i64 b, int slot) {
            double *const x = rooms.data() + slot * room, *const y = x + kBlock * k;
            const i64 first = from + b * kBlock, n = std::min(kBlock, from + here - first);
            for (i64 i = 0; i < n; ++i) {
                const i64 which = rows == nullptr ? first + i : rows[first + i];
                const Element<View>* const stored =
                    row(z, which, row_rooms.data() + slot * row_room);
                std::transform(stored, stored + k, x + i * k,
                               [](Element<View> v) { return static_cast<double>(v); });
            }
            for (i64 p = 0; p < panels(d.cols); ++p) {
                std::fill_n(y, n * kPanel, 0.0);
                kernels().any.gemm_panel(x, k, 1, n, depth[at(p)], strips.data() + p * k * kPanel,
                                         y, kPanel);
                f(first, n, p, y);
            }
        });
    }
}

}  // namespace

template <class View>
void row_norms(View z, const i64* rows, i64 count, MatrixView<double> d, int n_threads,
               const Tick& tick, double* q) {
    for_products(z, rows, count, d, n_threads, tick, [&](i64 first, i64 n, i64 p, const double* y) {
        if (p == 0) std::fill_n(q + first, n, 0.0);
        kernels().any.add_norms(y, n, q + first);
    });
}

template <class View, class Out>
void multiply(View z, const i64* rows, MatrixView<double> d, int n_threads, const Tick& tick,
              MutableMatrixView<Out> out) {
    for_products(z, rows, out.rows, d, n_threads, tick,
                 [&](i64 first, i64 n, i64 p, const double* y) {
                     const i64 used = std::min<i64>(kPanel, d.cols - p * kPanel);
                     for (i64 i = 0; i < n; ++i)
                         std::transform(y + i * kPanel, y + i * kPanel + used,
                                        out.row(first + i) + p * kPanel,
                                        [](double v) { return static_cast<Out>(v); });
                 });
}

template <class View>
void multiply_rounded(View z, const i64* rows, MatrixView<double> d, int n_threads,
                      const Tick& tick, MutableMatrixView<Element<View>> out) {
    using T = Element<View>;
    const i64 k = z.cols;
    const ColumnStrips strips(k, d.cols, d.data, d.stride, 1);
    const T scale = static_cast<T>(strips.scale());
    const i64 width = strips.width(), room = kStripRows * (k + width);
    const Scratch<T> rooms(n_threads * room);
    const i64 step = std::max(kWork / (k * width) / kStripRows, i64{1}) * kStripRows * kSums;
    for (i64 from = 0; from < out.rows; from += step) {
        tick(from);
        const i64 here = std::min(step, out.rows - from);
        parallel_blocks(ceil_div(here, kStripRows), n_threads, [&](i64 b, int slot) {
            T *const x = rooms.data() + slot * room, *const y = x + kStripRows * k;
            const i64 first = from + b * kStripRows, n = std::min(kStripRows, from + here - first);
            for (i64 i = 0; i < n; ++i)
                copy_row(z, rows == nullptr ? first + i : rows[first + i], x + i * k);
            strips.multiply(x, n, y);
            for (i64 i = 0; i < n; ++i)
                std::transform(y + i * width, y + i * width + d.cols, out.row(first + i),
                               [=](T v) { return scale * v; });
        });
    }
}

template <class View>
void take(View z, const i64* rows, i64 count, int n_threads, Element<View>* out) {
    const double work = static_cast<double>(count * z.cols);
    parallel_blocks(ceil_div(count, kBlock), worth(work, n_threads), [&](i64 b, int) {
        for (i64 t = b * kBlock; t < std::min(count, (b + 1) * kBlock); ++t)
            copy_row(z, rows == nullptr ? t : rows[t], out + t * z.cols);
    });
}

template <class View>
void sum_unit_rows(View z, const i64* rows, i64 count, const i64* cell, i64 cells, int n_threads,
                   const Tick& tick, double* sums) {
    using T = Element<View>;
    const i64 k = z.cols, size = cells * k;
    const i64 most = std::clamp<i64>(kRoom / size, 1, kSums);
    const i64 parts = std::min(most, ceil_div(count, 8 * kBlock)), part = ceil_div(count, parts);
    const Scratch<double> rooms(parts * size);
    const i64 row_room = room_for(z, 1);
    const Scratch<T> row_rooms(n_threads * row_room);
    const std::vector<double> ones(at(k), 1.0);
    tick(0);
    parallel_blocks(parts, n_threads, [&](i64 b, int slot) {
        double* const own = rooms.data() + b * size;
        std::fill_n(own, size, 0.0);
        for (i64 t = b * part; t < std::min(count, (b + 1) * part); ++t) {
            const T* const x =
                row(z, rows == nullptr ? t : rows[t], row_rooms.data() + slot * row_room);
            double square;
            kernels().of<T>().square_dots(x, 1, k, ones.data(), &square);
            if (square == 0.0) continue;
            const double scale = 1.0 / std::sqrt(square);
            double* const sum = own + cell[t] * k;
            for (i64 j = 0; j < k; ++j) sum[j] += scale * static_cast<double>(x[j]);
        }
    });
    std::fill_n(sums, size, 0.0);
    for (i64 b = 0; b < parts; ++b)
        for (i64 e = 0; e < size; ++e) sums[e] += rooms.data()[b * size + e];
}

template <class View>
const Element<View>* block(View z, i64 first, i64 count, Element<View>* room) {
    return pieces(slice(z, first, count), room).data;
}

namespace {

// Calls f(i, n, x) for consecutive rows x (n, k) of z that cover [first, last), the first of which
// is row i. The scratch memory `room` is (kBlock, k).
template <class View, class F>
void for_rows(View z, i64 first, i64 last, Element<View>* room, const F& f) {
    for (i64 i = first; i < last; i += kBlock) {
        const i64 n = std::min(kBlock, last - i);
        f(i, n, block(z, i, n, room));
    }
}

}  // namespace

template <class View>
void column_squares(View y, const double* s, const Strips& strips, int n_threads, const Tick& tick,
                    double* p) {
    const i64 k = y.cols, room = room_for(y, kBlock);
    const Scratch<Element<View>> rooms(n_threads * room);
    const std::vector<double> ones(s == nullptr ? kBlock : 0, 1.0);
    sum_rows(
        strips, k, n_threads, tick,
        [&](const Strips::Block& block, int slot, double* part) {
            std::fill_n(part, k, 0.0);
            for_rows(y, block.first, block.last, rooms.data() + slot * room,
                     [&](i64 i, i64 n, const Element<View>* x) {
                         kernels().of<Element<View>>().weighted_squares(
                             x, n, k, s == nullptr ? ones.data() : s + i, part);
                     });
        },
        p);
}

namespace {

// Computes one number x_i for each row of Z by a kernel, in blocks of rows.
template <class View, class Kernel>
void each_row(Kernel kernel, View z, const double* u, int n_threads, const Tick& tick, double* x) {
    constexpr i64 kSlice = 64 * kSumBlock;
    const i64 room = room_for(z, kBlock);
    const Scratch<Element<View>> rooms(n_threads * room);
    for (i64 from = 0; from < z.rows; from += kSlice) {
        tick(from);
        const i64 end = std::min(from + kSlice, z.rows);
        const double work = static_cast<double>((end - from) * z.cols);
        const int team = worth(work, n_threads);
        parallel_blocks(ceil_div(end - from, kSumBlock), team, [&](i64 b, int slot) {
            const i64 first = from + b * kSumBlock;
            for_rows(z, first, std::min(first + kSumBlock, end), rooms.data() + slot * room,
                     [&](i64 i, i64 n, const Element<View>* rows) {
                         kernel(rows, n, z.cols, u, x + i);
                     });
        });
    }
}

}  // namespace

template <class View>
void square_dots(View y, const double* u, int n_threads, const Tick& tick, double* g) {
    each_row(kernels().of<Element<View>>().square_dots, y, u, n_threads, tick, g);
}

template <class View>
void dots(View z, const double* u, int n_threads, const Tick& tick, double* t) {
    each_row(kernels().of<Element<View>>().dots, z, u, n_threads, tick, t);
}

double inner(const double* a, const double* b, const Strips& strips, int n_threads) {
    double total;
    sum_rows(
        strips, 1, worth(2.0 * static_cast<double>(strips.n_rows()), n_threads), {},
        [&](const Strips::Block& rows, int, double* part) {
            *part = std::inner_product(a + rows.first, a + rows.last, b + rows.first, 0.0);
        },
        &total);
    return total;
}

#define SKMM_PRODUCTS(View)                                                                        \
    template void second_moment(View, const double*, const Strips&, int, const Tick&, double*);    \
    template void row_norms(View, const i64*, i64, MatrixView<double>, int, const Tick&, double*); \
    template void multiply(View, const i64*, MatrixView<double>, int, const Tick&,                 \
                           MutableMatrixView<Element<View>>);                                      \
    template void multiply_rounded(View, const i64*, MatrixView<double>, int, const Tick&,         \
                                   MutableMatrixView<Element<View>>);                              \
    template void take(View, const i64*, i64, int, Element<View>*);                                \
    template const Element<View>* block(View, i64, i64, Element<View>*);                           \
    template void sum_unit_rows(View, const i64*, i64, const i64*, i64, int, const Tick&,          \
                                double*);                                                          \
    template void column_squares(View, const double*, const Strips&, int, const Tick&, double*);   \
    template void square_dots(View, const double*, int, const Tick&, double*);                     \
    template void dots(View, const double*, int, const Tick&, double*);
SKMM_PRODUCTS(MatrixView<float>)
SKMM_PRODUCTS(MatrixView<double>)
SKMM_PRODUCTS(HalfView)
template void multiply(MatrixView<float>, const i64*, MatrixView<double>, int, const Tick&,
                       MutableMatrixView<double>);

}  // namespace skmm
