"""What threads and forked processes share: values that are computed on first read, and locks."""

from __future__ import annotations

import functools
import os
import threading
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from functools import cached_property as cached_property
else:

    class cached_property(functools.cached_property):
        """A property that is computed when it is first read, then kept; the computation must be repeatable.

        Python 3.11's own holds one lock for all objects of a class while it computes: threads with objects of their own
        wait for each other, for ever if each is in a property that the other one needs, and a process that is forked
        meanwhile never gets past it. Here several threads may compute one property of one object at once.
        """

        def __get__(self, instance: Any, owner: type | None = None) -> Any:
            if instance is None:
                return self
            value = self.func(instance)
            # Not what a subclass reads by `super()`, which it may keep in another form.
            if getattr(type(instance), self.attrname) is self:
                instance.__dict__[self.attrname] = value
            return value


class Lock:
    """A lock of one process, which its holder may take again; a forked child finds it open.

    In a child the thread that held the lock does not exist, so nobody would ever open it.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _LOCKS.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._lock.release()

    def renew(self) -> None:
        """Open it, whoever holds it."""
        self._lock = threading.RLock()


_LOCKS: weakref.WeakSet[Lock] = weakref.WeakSet()


def _renew_all() -> None:
    for lock in _LOCKS:
        lock.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
