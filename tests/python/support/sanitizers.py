"""What tests cannot do under AddressSanitizer."""

import os

import pytest

# Its shadow memory takes terabytes of addresses, so that a limit of them stops the process.
limits_addresses = pytest.mark.skipif(
    "libasan" in os.environ.get("LD_PRELOAD", ""), reason="AddressSanitizer needs all addresses"
)
