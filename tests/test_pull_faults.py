"""Pulls through everything that can go wrong on the way: nothing lost, nothing twice, no traceback, and what is missing is said.

The thousand of the benchmark (``python tests/benchmarks/pull.py --faults``) are run apart; these are other seeds.
"""

import pytest
from doubles.faults import KINDS
from pullkit import SERVERS, seeded_pull

# Each kind of fault alone at least once, and as many mixes; another beginning than the benchmark's.
SEEDS = range(100_000, 100_000 + 2 * len(KINDS) * len(SERVERS), 11)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_pull_under_faults_brings_everything_once(seed, tmp_path):
    out = seeded_pull(seed, str(tmp_path))
    assert out.good, out
