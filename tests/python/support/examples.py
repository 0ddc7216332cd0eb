"""How many examples a stateful test runs; SKMM_EXAMPLES=20 makes it 20 times as many."""

import os

from hypothesis import HealthCheck, settings


def examples(count, steps):
    """Settings of a state machine: `count` runs of at most `steps` steps each."""
    return settings(
        max_examples=count * int(os.environ.get("SKMM_EXAMPLES", "1")),
        stateful_step_count=steps,
        suppress_health_check=list(HealthCheck),
    )
