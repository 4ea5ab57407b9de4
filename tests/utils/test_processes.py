"""Helpers for processes, against what the garbage collector does."""

import gc
import weakref

import pytest

from shake_mm.utils import garbage_is_new


class Node:
    def __init__(self):
        self.itself = self


def test_garbage_of_before_is_found_afterwards():
    before = weakref.ref(Node())  # a cycle, which nothing holds
    with pytest.raises(ArithmeticError), garbage_is_new():
        inside = weakref.ref(Node())
        gc.collect()
        assert inside() is None and before() is not None
        raise ArithmeticError
    assert gc.get_freeze_count() == 0
    gc.collect()
    assert before() is None
