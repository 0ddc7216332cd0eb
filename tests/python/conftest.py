"""What every test begins with."""

import sys

import hypothesis
import pytest

# A busy machine is no fault.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")


@pytest.fixture(autouse=True)
def _own_random_numbers():
    """Torch's global generator begins anew in each test, whichever tests ran before."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
