"""The values of a transport problem: which number is read off a plan, and differentiated."""

from __future__ import annotations

from enum import StrEnum


class ValueKind(StrEnum):
    """Which value of a transport problem a loss is made of. All three are read at the same iterate.

    At the optimum the entropic and the primal value agree. Before it they differ, and only the entropic one is sure to
    lie in the solution's interval. With the plan held constant, as :class:`Envelope` holds it, all three have one
    gradient with respect to points; :class:`Unroll` differentiates the one that is asked for.
    """

    ENTROPIC = "entropic"
    """The dual value ``<a, f> + <b, g> - <a x b, conjugate(s)>``: a lower bound on the regularised value."""
    PRIMAL = "primal"
    """``<pi, C> + eps <a x b, penalty(density)>`` of the iterate's plan, whose columns need not have their mass yet."""
    LINEAR = "linear"
    """The transport cost ``<pi, C>`` of the same plan; "sharp" in the literature."""
