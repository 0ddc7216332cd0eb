"""Properties that are computed once hold no lock while they compute."""

import os
import signal
import threading

import pytest

from skmm_fast._support.cached import cached_property


class Counted:
    """Computes a value when it is let, and counts how often."""

    def __init__(self):
        self.begun, self.let, self.times = threading.Event(), threading.Event(), 0

    @cached_property
    def value(self):
        """A value."""
        self.begun.set()
        assert self.let.wait(1800)
        self.times += 1
        return 7


@pytest.fixture
def computing():
    """An object of which another thread computes the value."""
    one = Counted()
    thread = threading.Thread(target=lambda: one.value)
    thread.start()
    assert one.begun.wait(1800)
    yield one
    one.let.set()
    thread.join()
    assert one.value == 7
    assert one.times == 1


def test_a_value_is_computed_once():
    one = Counted()
    one.let.set()
    assert [one.value, one.value, one.times] == [7, 7, 1]
    assert Counted.value.__doc__ == "A value."


def test_another_object_does_not_wait(computing):
    other = Counted()
    other.let.set()
    thread = threading.Thread(target=lambda: other.value, daemon=True)
    thread.start()
    thread.join(60)
    assert other.times == 1


def test_a_child_forked_during_a_computation_computes_too(computing):
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        other = Counted()
        other.let.set()
        os._exit(other.value)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
