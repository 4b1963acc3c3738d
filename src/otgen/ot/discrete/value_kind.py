"""The values of a transport problem: which number is read off a plan, and differentiated."""

from __future__ import annotations

from enum import StrEnum


class ValueKind(StrEnum):
    """Which value of a transport problem a loss is made of. All three are computed at the same iterate.

    At the optimum the entropic and the primal value agree. Before convergence they differ, and only the entropic one is
    guaranteed to lie in the solution's interval. Under :class:`Envelope`, which holds the plan constant, all three have
    the same gradient with respect to the costs; :class:`Unroll` differentiates the requested one.
    """

    ENTROPIC = "entropic"
    """The dual value ``<a, f> + <b, g> - <a x b, conjugate(s)>``: a lower bound on the regularised value."""
    PRIMAL = "primal"
    """``<pi, C> + eps <a x b, penalty(density)>`` of the iterate's plan, whose column sums need not equal b yet."""
    LINEAR = "linear"
    """The transport cost ``<pi, C>`` of the same plan; "sharp" in the literature."""
