// Spherical k-means on several sets of rows at once: centres, and the nearest centre of each row.
// Only the directions of rows count. A View is as in linalg/products.hpp.
#pragma once

#include <cstdint>

#include "skmm/base/half_view.hpp"
#include "skmm/base/tick.hpp"
#include "skmm/base/views.hpp"

namespace skmm {

// Sets of rows of a matrix, and the centres of each. Set g has the rows
// rows[first[g]], ..., rows[first[g + 1] - 1] and the centres first_centre[g], ...,
// first_centre[g + 1] - 1. A set with centres has rows.
struct RowSets {
    std::int64_t sets;
    const std::int64_t* rows;
    const std::int64_t* first;         // (sets + 1) ascending from 0
    const std::int64_t* first_centre;  // (sets + 1) ascending from 0
};

// Writes the centres (centres, k), of norm 1, or 0 where all rows of a set are zero. The first ones
// are rows of the set, each drawn with a probability in proportion to 1 minus its largest cosine to
// the former (Arthur and Vassilvitskii 2007). They go through `sweeps` of Lloyd's algorithm
// (Dhillon and Modha 2001). Set g draws with the key seeds[g].
template <class View>
void spherical_centres(View z, const RowSets& sets, const std::uint64_t* seeds, int sweeps,
                       int n_threads, const Tick& tick, double* centres);

// For position t in `rows`, a row z of set g: which[t] = argmax_c ⟨z, c⟩ over the centres c of g,
// counted from first_centre[g], and product[t] = that largest product, in the arithmetic of its
// element type. Ties go to the lowest centre. All sets have centres.
template <class View>
void nearest_centre(View z, const RowSets& sets, MatrixView<double> centres, int n_threads,
                    const Tick& tick, std::int64_t* which, double* product);

}  // namespace skmm
