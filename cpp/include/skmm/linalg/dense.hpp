// Small dense linear algebra for symmetric positive definite matrices (k, k). They are vectors of
// k² numbers, row-major, with k in the hundreds.
#pragma once

#include <limits>
#include <vector>

namespace skmm {

// The part of tr A that bounds the error of a sum A of outer products in double. The Python layer
// has the same number (pool/inverses.py).
inline constexpr double kSumRounding = 16.0 * std::numeric_limits<double>::epsilon();

using Vector = std::vector<double>;

// Cholesky factorisation A = UᵀU. The upper triangular U replaces the upper triangle of A; entries
// below the diagonal are neither read nor written. Returns false if A is not positive definite to
// rounding: if what is left of a diagonal entry a_jj, as the square of a pivot, is at most
// k kSumRounding a_jj, which bounds its error (Higham, 2002, theorem 10.3).
bool factor(Vector& a);

// Returns R = U⁻ᵀ for the factor U of A, so that A⁻¹ = RᵀR.
Vector inverse_root(const Vector& u);

// Returns RᵀR.
Vector gram(const Vector& r);

// Returns the d >= -u that maximises gᵀd - dᵀHd / 2 for a symmetric positive definite H, by
// primal-dual active sets (Hintermüller, Ito and Kunisch, 2002). d >= -u always holds. If the
// active sets cycle, the result is only near the maximiser.
Vector bounded_step(const Vector& h, const Vector& g, const Vector& u);

}  // namespace skmm
