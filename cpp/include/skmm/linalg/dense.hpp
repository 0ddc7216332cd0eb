// Small dense algebra: symmetric positive definite matrices (k, k), row-major, k in the hundreds.
#pragma once

#include <vector>

namespace skmm {

// A = UᵀU, U upper triangular, in place of A's upper triangle (Cholesky); false where A is not
// positive definite. What lies below the diagonal is not read and not written.
bool factor(std::vector<double>& a);

// R = U⁻ᵀ, so that A⁻¹ = RᵀR, and this product.
std::vector<double> inverse_root(const std::vector<double>& u);
std::vector<double> gram(const std::vector<double>& r);

// d >= -u that maximises gᵀd - dᵀHd / 2, H symmetric and positive definite, by primal-dual active
// sets (Hintermüller, Ito and Kunisch, 2002); near it where these cycle.
std::vector<double> bounded_step(const std::vector<double>& h, const std::vector<double>& g,
                                 const std::vector<double>& u);

}  // namespace skmm
