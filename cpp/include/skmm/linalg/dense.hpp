// Small dense algebra: symmetric positive definite matrices (k, k), row-major, k in the hundreds.
#pragma once

#include <vector>

namespace skmm {

using Vector = std::vector<double>;

// A = UᵀU, U upper triangular, in place of A's upper triangle (Cholesky); false where A is not
// positive definite. What lies below the diagonal is not read and not written.
bool factor(Vector& a);

// R = U⁻ᵀ, so that A⁻¹ = RᵀR, and this product.
Vector inverse_root(const Vector& u);
Vector gram(const Vector& r);

// d >= -u that maximises gᵀd - dᵀHd / 2, H symmetric and positive definite, by primal-dual active
// sets (Hintermüller, Ito and Kunisch, 2002); near it where these cycle.
Vector bounded_step(const Vector& h, const Vector& g, const Vector& u);

}  // namespace skmm
