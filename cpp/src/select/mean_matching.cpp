// Exchanges for mean matching. A slot of weight w that gives up b_i and takes b_j turns the
// residual r into u + w b_j with u = r - w b_i, so that ‖r‖² changes by the difference of 2 w ⟨b_j,
// u⟩ + w² ‖b_j‖² and the same for b_i: one product of the candidates with u per slot.
#include "skmm/select/mean_matching.hpp"

#include <cmath>
#include <vector>

#include "skmm/base/types.hpp"
#include "skmm/simd/kernels.hpp"

namespace skmm {
namespace {

constexpr double kLeast = 1e-12;  // an exchange must gain this part of the numbers compared

}  // namespace

template <class T>
i64 exchange_in_cells(MatrixView<T> b, const CellSlots& cells, double* r) {
    const i64 k = b.cols;
    std::vector<double> u(at(k)), product, square;
    const std::vector<double> ones(at(k), 1.0);
    std::vector<char> taken;
    i64 exchanges = 0;
    for (i64 c = 0; c < cells.cells; ++c) {
        const i64 first = cells.first[c], size = cells.first[c + 1] - first;
        product.resize(at(size));
        square.resize(at(size));
        taken.assign(at(size), 0);
        kernels().of<T>().square_dots(b.row(first), size, k, ones.data(), square.data());
        for (i64 t = cells.first_slot[c]; t < cells.first_slot[c + 1]; ++t)
            taken[at(cells.slot[t] - first)] = 1;
        for (i64 t = cells.first_slot[c]; t < cells.first_slot[c + 1]; ++t) {
            const i64 own = cells.slot[t] - first;
            const double w = cells.weight[t];
            const T* const from = b.row(first + own);
            for (i64 j = 0; j < k; ++j) u[at(j)] = r[j] - w * static_cast<double>(from[j]);
            kernels().of<T>().dots(b.row(first), size, k, u.data(), product.data());
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
            cells.slot[t] = first + best;
            const T* const to = b.row(first + best);
            for (i64 j = 0; j < k; ++j) r[j] = u[at(j)] + w * static_cast<double>(to[j]);
            ++exchanges;
        }
    }
    return exchanges;
}

template i64 exchange_in_cells(MatrixView<float>, const CellSlots&, double*);
template i64 exchange_in_cells(MatrixView<double>, const CellSlots&, double*);

}  // namespace skmm
