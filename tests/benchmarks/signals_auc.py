"""How well each hallucination signal tells failed from solved real agent trials: AUC with a 95 % interval, resampled by task.

python tests/benchmarks/signals_auc.py FOLDER_OF_SHARED_DATA. The reward says whether the task was solved, not whether the agent made
something up, so this is a floor for what the signals are worth, not a test of what they look for.
"""

import json
import sys
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from llmobs_nb.analyses.sampling.texts import Exchange
from llmobs_nb.analyses.signals.measures import NAMES, SEED_WEIGHTS, measure, risk

DRAWS = 1000


def exchange(trial: dict) -> Exchange:
    """All that the agent said against all that it was given: policy, tools and user."""
    told = {"assistant": [], "other": []}
    for message in trial["traj"]:
        if message.get("content"):
            told["assistant" if message["role"] == "assistant" else "other"].append(message["content"])
    return Exchange("tau", "airline", str(trial["trial"]), answer="\n".join(told["assistant"]), context="\n".join(told["other"]))


def auc(values: np.ndarray, failed: np.ndarray) -> float:
    """Probability that a failed trial has the larger value; ties count half."""
    ranks, m = rankdata(values), failed.sum()
    return (ranks[failed].sum() - m * (m + 1) / 2) / (m * (len(values) - m))


def interval(values: np.ndarray, failed: np.ndarray, tasks: np.ndarray) -> tuple[float, float]:
    """Percentile interval over resampled tasks."""
    rng, names, found = np.random.default_rng(1_000_000), np.unique(tasks), []
    where = {t: np.flatnonzero(tasks == t) for t in names}
    for _ in range(DRAWS):
        at = np.concatenate([where[t] for t in rng.choice(names, len(names))])
        if 0 < failed[at].sum() < len(at):
            found.append(auc(values[at], failed[at]))
    return tuple(np.quantile(found, (0.025, 0.975)))


def main(folder: str) -> None:
    trials = json.loads((Path(folder) / "agent" / "taubench_gpt4o_airline.json").read_text())
    rows = [measure(exchange(t), (), None) for t in trials]
    failed, tasks = np.array([t["reward"] < 1 for t in trials]), np.array([t["task_id"] for t in trials])
    columns = {n: [r[n] for r in rows] for n in NAMES} | {"risk": [risk(r, SEED_WEIGHTS) for r in rows]}
    print(f"{len(trials)} trials, {failed.mean():.0%} failed\nsignal              n    AUC   95 %         mean")
    for name, column in columns.items():
        values = np.array(column, float)
        known = np.isfinite(values)
        if known.sum() > 20 and np.ptp(values[known]) > 0:
            low, high = interval(values[known], failed[known], tasks[known])
            print(
                f"{name:<18} {known.sum():>3}  {auc(values[known], failed[known]):.3f}  {low:.2f}-{high:.2f}  {values[known].mean():.3f}"
            )
        else:
            print(f"{name:<18} {known.sum():>3}  not applicable")


if __name__ == "__main__":
    main(sys.argv[1])
