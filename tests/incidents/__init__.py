"""Incidents with known truth: made-up products, eight weeks of traffic, and one thing that happened, or seemed to, or did not.

    from incidents import case
    one = case(7)                  # or case(7, kind="prompt_text", traces=100_000)
    one.truth.verdict, one.truth.where, one.truth.onset, one.truth.oracle_z
    one.write(folder)              # the canonical interchange folder

Tune the analysis on seeds of ``TUNING`` only. ``JUDGING`` seeds are for the closing table: look at its figures, never at
single cases of it, and never change the analysis because of one; every look at them makes them worth less.
"""

from .build import Case, case
from .story import FALSE, INCIDENTS, KINDS, QUIET
from .truth import Truth

TUNING = range(0, 10_000)
JUDGING = range(1_000_000, 1_010_000)

__all__ = ["FALSE", "INCIDENTS", "JUDGING", "KINDS", "QUIET", "TUNING", "Case", "Truth", "case"]
