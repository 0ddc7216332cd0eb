"""A fault on purpose: the core reads past the end of an array that claims more rows than it has.
AddressSanitizer must end this program, or its other runs prove nothing."""

import numpy as np

from skmm_fast import _core

rows = np.ones((1000, 8))
too_many = np.lib.stride_tricks.as_strided(rows, shape=(1100, 8))
print(_core.dots(too_many, np.ones(8), 1).sum())
