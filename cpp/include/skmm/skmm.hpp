// The core of skmm-fast: sketches of rows, and the choice of rows by their sketches. This header
// includes the rest; docs/tutorials/cpp.md shows how to build with it. What follows holds in all of
// them.
//
// Memory. Arguments are views of the caller's memory (base/views.hpp). A call keeps none of them
// when it returns; a RowMatrix, which is a view too, does. Outputs are written, not added to, and
// do not overlap inputs, unless a comment says otherwise. Where a comment gives the shape of a
// plain pointer, such as q (count) or M (k, k), it leads to that many numbers, row-major without
// gaps.
//
// Arguments are not checked: what a comment requires or says of them is the caller's duty, and
// anything else is undefined behaviour. Sizes, row numbers and offsets lead to memory. Numbers in
// matrices do not: NaN and infinity make results of no use, and do no other harm.
//
// Errors. A call throws std::bad_alloc where memory runs out, std::runtime_error if the environment
// variable SKMM_ISA names no level of this processor and build (simd/kernels.hpp), and whatever the
// functions that it is given throw: a Tick, a Watch, those of a RowMatrix or of Ranks. Its outputs
// are then of no use; nothing is leaked, and other calls are not affected.
//
// Threads. n_threads >= 1 is the largest number of threads that a call uses; default_threads() is
// a good one. Threads of the caller may make calls at once, with outputs of their own. Functions
// that a call is given run on the calling thread, unless a comment says otherwise. A forked child
// runs serially (base/parallel.hpp).
//
// The same bits. Results depend on the arguments and the seed, not on the number of threads, nor,
// from AVX2 on, on the instruction set.
#pragma once

#include "skmm/base/float16.hpp"
#include "skmm/base/half_view.hpp"
#include "skmm/base/parallel.hpp"
#include "skmm/base/strips.hpp"
#include "skmm/base/tick.hpp"
#include "skmm/base/views.hpp"
#include "skmm/linalg/dense.hpp"
#include "skmm/linalg/products.hpp"
#include "skmm/linalg/row_matrix.hpp"
#include "skmm/linalg/simplex.hpp"
#include "skmm/select/constraints.hpp"
#include "skmm/select/mean_matching.hpp"
#include "skmm/select/moment_matching.hpp"
#include "skmm/select/sampling.hpp"
#include "skmm/select/sequential.hpp"
#include "skmm/select/spherical_cells.hpp"
#include "skmm/select/v_optimality.hpp"
#include "skmm/sketch/operators.hpp"
