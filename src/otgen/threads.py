"""What threads and forked processes share: values computed on first read, locks, and settings of the process."""

from __future__ import annotations

import functools
import os
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from typing_extensions import override

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


class _Renewed(ABC):
    """What a forked child must not take over as it is, since the threads that use it do not exist there."""

    def __init__(self) -> None:
        _RENEWED.add(self)

    @abstractmethod
    def renew(self) -> None:
        """Bring it into the state that it has while no thread uses it."""


_RENEWED: weakref.WeakSet[_Renewed] = weakref.WeakSet()


def _renew_all() -> None:
    for one in _RENEWED:
        one.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)


class Lock(_Renewed):
    """A lock of one process, which its holder may take again; a forked child finds it open."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    @override
    def renew(self) -> None:
        self._lock = threading.RLock()


class Setting(_Renewed):
    """A context in which a setting of the whole process is changed.

    The first of several threads to enter changes it, the last one to leave changes it back. If each thread restored
    what it found, the setting could stay changed for good: the second one finds it changed.

    Args:
        change: changes the setting.
        back: changes it back.
    """

    def __init__(self, change: Callable[[], None], back: Callable[[], None]) -> None:
        super().__init__()
        self._change, self._back, self._inside, self._lock = change, back, 0, threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._change()
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside = max(self._inside - 1, 0)
            if self._inside == 0:
                self._back()

    @override
    def renew(self) -> None:
        self._lock = threading.Lock()
        if self._inside:
            self._inside = 0
            self._back()
