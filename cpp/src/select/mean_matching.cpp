// Exchanges for mean matching. A slot of weight w that gives up b_i and takes b_j turns the
// residual r into u + w b_j with u = r - w b_i, so that ‖r‖² changes by the difference of 2 w ⟨b_j,
// u⟩ + w² ‖b_j‖² and the same for b_i: one product of the candidates with u per slot.
#include "skmm/select/mean_matching.hpp"

#include <algorithm>
#include <cmath>

#include "skmm/base/types.hpp"
#include "skmm/select/sampling.hpp"
#include "skmm/simd/kernels.hpp"

namespace skmm {
namespace {

constexpr double kLeast = 1e-12;  // an exchange must gain this part of the numbers compared

}  // namespace

Candidates draw_candidates(const CellRows& cells, const i64* held, i64 most, u64 seed,
                           std::uint32_t which) {
    Candidates out{{0}, {}, {}};
    for (i64 c = 0; c < cells.cells; ++c) {
        const i64 *const own = held + cells.first_slot[c], *const own_end =
                                                               held + cells.first_slot[c + 1];
        const i64 *const row = cells.rows + cells.first[c],
                         size = cells.first[c + 1] - cells.first[c];
        const i64 begin = static_cast<i64>(out.rows.size()), count = most * (own_end - own);
        if (own != own_end && size <= count) {
            out.rows.insert(out.rows.end(), row, row + size);
        } else if (own != own_end) {
            for (const i64 i : draw_subset(size, count, seed, which + static_cast<u32>(c)))
                out.rows.push_back(row[i]);
            out.rows.insert(out.rows.end(), own, own_end);
            std::sort(out.rows.begin() + begin, out.rows.end());
            out.rows.erase(std::unique(out.rows.begin() + begin, out.rows.end()), out.rows.end());
        }
        for (const i64* i = own; i != own_end; ++i)
            out.slot.push_back(std::lower_bound(out.rows.begin() + begin, out.rows.end(), *i) -
                               out.rows.begin());
        out.first.push_back(static_cast<i64>(out.rows.size()));
    }
    return out;
}

template <class T>
i64 exchange_in_cells(MatrixView<T> b, const CellRows& cells, const double* weight, i64* slot,
                      double* r) {
    const i64 k = b.cols;
    std::vector<double> u(at(k)), product, square;
    const std::vector<double> ones(at(k), 1.0);
    std::vector<T> own_rows;  // of the cell
    std::vector<char> taken;
    i64 exchanges = 0;
    for (i64 c = 0; c < cells.cells; ++c) {
        const i64 first = cells.first[c], size = cells.first[c + 1] - first;
        if (cells.first_slot[c] == cells.first_slot[c + 1]) continue;
        product.resize(at(size));
        square.resize(at(size));
        taken.assign(at(size), 0);
        own_rows.resize(at(size * k));
        for (i64 i = 0; i < size; ++i)
            std::copy_n(b.row(cells.rows[first + i]), k, own_rows.data() + i * k);
        kernels().of<T>().square_dots(own_rows.data(), size, k, ones.data(), square.data());
        for (i64 t = cells.first_slot[c]; t < cells.first_slot[c + 1]; ++t)
            taken[at(slot[t] - first)] = 1;
        for (i64 t = cells.first_slot[c]; t < cells.first_slot[c + 1]; ++t) {
            const i64 own = slot[t] - first;
            const double w = weight[t];
            const T* const from = own_rows.data() + own * k;
            for (i64 j = 0; j < k; ++j) u[at(j)] = r[j] - w * static_cast<double>(from[j]);
            kernels().of<T>().dots(own_rows.data(), size, k, u.data(), product.data());
            const auto change = [&](i64 i) {
                return w * (2.0 * product[at(i)] + w * square[at(i)]);
            };
            i64 best = own;
            double least = change(own);
            least -= kLeast * w * (2.0 * std::abs(product[at(own)]) + w * square[at(own)]);
            for (i64 i = 0; i < size; ++i) {
                if (taken[at(i)] || change(i) >= least) continue;
                best = i;
                least = change(i);
            }
            if (best == own) continue;
            taken[at(own)] = 0;
            taken[at(best)] = 1;
            slot[t] = first + best;
            const T* const to = own_rows.data() + best * k;
            for (i64 j = 0; j < k; ++j) r[j] = u[at(j)] + w * static_cast<double>(to[j]);
            ++exchanges;
        }
    }
    return exchanges;
}

template i64 exchange_in_cells(MatrixView<float>, const CellRows&, const double*, i64*, double*);
template i64 exchange_in_cells(MatrixView<double>, const CellRows&, const double*, i64*, double*);

}  // namespace skmm
