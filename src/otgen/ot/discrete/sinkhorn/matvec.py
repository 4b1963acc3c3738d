"""Products of a kernel with vectors, by the fastest method for its size."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

# Up to this many entries of a matrix NumPy's products are faster, since a call costs less and its BLAS uses one thread.
# Beyond, it would start threads of its own, which then compete with PyTorch's for the cores.
_NUMPY_ENTRIES = 1 << 18
# Beyond this many entries a matrix does not fit in the cache, and reading it only once per iteration is worth Python's
# threads.
_CACHED_ENTRIES = 5 << 20
# Entries of a block that stays in one core's cache between its two products.
_BLOCK_ENTRIES = 1 << 17
# From this many entries per matrix on, the calls cost little beside the products, and each problem goes its own way.
_LOOP_ENTRIES = 1 << 14


class MatVec(ABC):
    """A matrix K, ``(n, m)``; its vectors belong to the library that multiplies, see :meth:`vector`."""

    # Whether this is a whole batch of matrices, multiplied at once.
    batched: bool = False

    def vector(self, tensor: Tensor) -> Any:
        """A vector in this library, sharing memory: NumPy's operators on one cost a third of PyTorch's."""
        return tensor.numpy()

    @abstractmethod
    def rows(self, v: Any) -> Any:
        """``K v``."""

    @abstractmethod
    def columns(self, u: Any) -> Any:
        """``K^T u``."""

    def sweep(self, v: Any, a: Any) -> tuple[Any, Any]:
        """``p = K v`` and ``K^T (a / p)``."""
        p = self.rows(v)
        return p, self.columns(a / p)

    def pair(self, v: Any, u: Any) -> tuple[Any, Any]:
        """``K v`` and ``K^T u``."""
        return self.rows(v), self.columns(u)


class _Arrays(MatVec):
    """One numpy matrix and one thread."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix = matrix.numpy()
        self.transposed = self.matrix.T

    def rows(self, v: Any) -> Any:
        return self.matrix.dot(v)

    def columns(self, u: Any) -> Any:
        return self.transposed.dot(u)

    # Written out, since for a small matrix a call costs as much as its work.

    def sweep(self, v: Any, a: Any) -> tuple[Any, Any]:
        p = self.matrix.dot(v)
        return p, self.transposed.dot(a / p)

    def pair(self, v: Any, u: Any) -> tuple[Any, Any]:
        return self.matrix.dot(v), self.transposed.dot(u)


class _ArrayBatch(MatVec):
    """A batch of small numpy matrices, ``(B, n, m)``, and one thread; vectors are ``(B, n)``."""

    batched = True

    def __init__(self, matrix: Tensor) -> None:
        self.matrix = matrix.numpy()
        self.transposed = self.matrix.swapaxes(-2, -1)

    def rows(self, v: Any) -> Any:
        return batched_product(self.matrix, v)

    def columns(self, u: Any) -> Any:
        return batched_product(self.transposed, u)


class _Workers:
    """Python's threads for the blocks of one matrix, started when there is work for them, and anew in a child."""

    def __init__(self, count: int) -> None:
        self.count, self.process = count, 0
        self.pool: ThreadPoolExecutor | None = None

    def submit(self, work: Callable[[Any], Any], share: Any) -> Future[Any]:
        """``work(share)`` in one of the threads."""
        if self.pool is None or self.process != os.getpid():
            # A child has the object of its parent's pool, but none of its threads.
            self.pool, self.process = ThreadPoolExecutor(self.count), os.getpid()
        return self.pool.submit(work, share)


class _Blocks(MatVec):
    """Blocks of rows divided among Python's threads; a sweep reads each block once. NumPy's `dot` releases the lock."""

    def __init__(self, matrix: Tensor) -> None:
        whole = matrix.numpy()
        size = max(1, _BLOCK_ENTRIES // whole.shape[1])
        bounds = [(start, min(start + size, len(whole))) for start in range(0, len(whole), size)]
        workers = min(torch.get_num_threads(), len(bounds))
        # Contiguous shares, so that each thread walks through memory.
        cuts = [len(bounds) * k // workers for k in range(workers + 1)]
        self.shares = [
            [(whole[i:j], slice(i, j)) for i, j in bounds[s:e]] for s, e in zip(cuts, cuts[1:], strict=False)
        ]
        self.shape, self.dtype = whole.shape, whole.dtype
        self.workers = _Workers(max(1, workers - 1))

    def rows(self, v: Any) -> Any:
        return self._pass(v, None)[0]

    def columns(self, u: Any) -> Any:
        return self._pass(None, lambda part, _: u[part])[1]

    def sweep(self, v: Any, a: Any) -> tuple[Any, Any]:
        return self._pass(v, lambda part, p: a[part] / p)

    def pair(self, v: Any, u: Any) -> tuple[Any, Any]:
        return self._pass(v, lambda part, _: u[part])

    def _pass(self, v: Any, weigh: Callable[[slice, Any], Any] | None) -> tuple[Any, Any]:
        """``p = K v`` if v is given, and ``K^T u`` if ``weigh``, which computes u from p, is given; block by block."""
        p = np.empty(self.shape[0], self.dtype)

        def work(share: Sequence[tuple[Any, slice]]) -> Any:
            total = np.zeros(self.shape[1], self.dtype)
            # NumPy's error state belongs to a thread.
            with np.errstate(all="ignore"):
                for block, part in share:
                    if v is not None:
                        np.dot(block, v, out=p[part])
                    if weigh is not None:
                        total += np.dot(weigh(part, p[part]), block)
            return total

        others = [self.workers.submit(work, share) for share in self.shares[1:]]
        return p, sum((other.result() for other in others), work(self.shares[0]))


class _Shares(MatVec):
    """One matrix as a batch of row blocks: a batched product gives each thread a block; a plain one uses one thread."""

    def __init__(self, matrix: Tensor, shares: int) -> None:
        self.count = len(matrix)
        size = -(-len(matrix) // shares)
        if size * shares != len(matrix):
            # Padding rows of ones, whose weight is always zero.
            matrix = torch.cat([matrix, matrix.new_ones(size * shares - len(matrix), matrix.shape[1])])
        self.blocks = matrix.view(shares, size, -1)
        self.transposed = self.blocks.mT
        self.padding = size * shares - self.count

    def rows(self, v: Any) -> Any:
        shares, _, m = self.blocks.shape
        product = torch.bmm(torch.from_numpy(v).expand(shares, 1, m), self.transposed)
        return product.view(-1)[: self.count].numpy()

    def columns(self, u: Any) -> Any:
        if self.padding:
            u = np.concatenate([u, np.zeros(self.padding, u.dtype)])
        shares, size, _ = self.blocks.shape
        parts = torch.bmm(torch.from_numpy(u).view(shares, 1, size), self.blocks).numpy()
        return parts.sum(0)[0]


class _Torch(MatVec):
    """PyTorch's own product; a batch of matrices multiplies a batch of columns, ``(B, n, 1)``."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix, self.batched = matrix, matrix.ndim == 3

    def vector(self, tensor: Tensor) -> Any:
        return tensor.unsqueeze(-1) if self.batched else tensor

    def rows(self, v: Tensor) -> Tensor:
        return self.matrix @ v

    def columns(self, u: Tensor) -> Tensor:
        return self.matrix.mT @ u


def matvecs(matrix: Tensor) -> list[MatVec]:
    """The products of a matrix, or of each matrix of a batch; one object for a whole batch of tiny matrices."""
    if matrix.ndim == 2:
        return [_single(matrix)]
    if matrix.device.type != "cpu":
        return [_Torch(matrix)]
    return [_single(one) for one in matrix] if matrix[0].numel() >= _LOOP_ENTRIES else [_ArrayBatch(matrix)]


def batched_product(matrix: Any, vectors: Any) -> Any:
    """``(B, n, m), (B, m) -> (B, n)`` in NumPy, which is five to ten times as fast as PyTorch here."""
    return np.matmul(matrix, vectors[..., None])[..., 0]


def _single(matrix: Tensor) -> MatVec:
    if matrix.device.type != "cpu":
        return _Torch(matrix)
    if matrix.numel() <= _NUMPY_ENTRIES:
        return _Arrays(matrix)
    threads = torch.get_num_threads()
    if threads == 1 or matrix.numel() > _CACHED_ENTRIES:
        return _Blocks(matrix)
    return _Shares(matrix, threads)
