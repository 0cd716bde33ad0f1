"""Where judge and humans are furthest apart: what to read first, with what both wrote."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ...columns import literal
from ..reductions import rows
from .chosen import choose_scores
from .result import Paired, empty

COLUMNS = ("trace_id", "span_id", "session_id", "judge", "human", "difference", "comment", "human_comment", "url", "at")
MOST = 30


def disagreements(obs, paired: Paired, *, most: int = MOST) -> pd.DataFrame:
    """One row per pair that disagrees, furthest apart first, of the same distance the newest: at most ``most``.

    ``difference`` is judge - human as a share of the range of both (of labels 1), ``comment`` the judge's, ``human_comment`` the
    humans', ``url`` opens the trace in its product. Texts are as logged, so hostile. Empty where all agree.
    """
    apart = _apart(paired)
    at = np.flatnonzero(np.abs(apart) > 1e-12)
    if not len(at):
        return empty(*COLUMNS)
    newest = pd.to_datetime(paired.pairs["at"], utc=True).rank(ascending=False, na_option="bottom").to_numpy()
    chosen = at[np.lexsort((newest[at], -np.abs(apart[at])))][:most]
    table = paired.pairs.iloc[chosen].copy()
    table["difference"] = apart[chosen]
    ids = list(table["trace_id"].dropna().unique())
    said, urls = _comments(obs, paired, table), _urls(obs, ids)
    keys = list(zip(table["trace_id"], table["span_id"], table["session_id"], strict=True))
    told = {"comment": [_joined(said, k, False) for k in keys], "human_comment": [_joined(said, k, True) for k in keys]}
    told["url"] = [urls.get(t) for t in table["trace_id"]]
    table = table.assign(**{name: pd.Series(v, index=table.index, dtype=object) for name, v in told.items()})
    return table[list(COLUMNS)].reset_index(drop=True)


def _apart(paired: Paired) -> np.ndarray:
    judge, human = paired.pairs["judge"], paired.pairs["human"]
    if paired.kind in ("categorical", "preference"):
        return (judge.to_numpy() != human.to_numpy()).astype(float)
    judge, human = judge.to_numpy(float), human.to_numpy(float)
    both = np.concatenate([judge, human])
    return (judge - human) / (np.ptp(both) if len(both) and np.ptp(both) > 0 else 1.0)


def _comments(obs, paired: Paired, table: pd.DataFrame) -> list[dict]:
    wanted = [(c, list(table[c].dropna().unique())) for c in ("trace_id", "session_id")]
    where = " OR ".join(f"{c} IN ({', '.join(map(literal, ids))})" for c, ids in wanted if ids)
    judge, human = choose_scores(obs, paired.judge_name, paired.human_name)
    return rows(
        obs,
        f"""SELECT trace_id, span_id, session_id, CASE WHEN {human.sql} THEN 1 ELSE 0 END AS by_human, comment FROM scores
        WHERE (({judge.sql}) OR ({human.sql})) AND comment IS NOT NULL AND comment <> '' AND ({where}) ORDER BY created_at, score_id""",
    )


def _joined(said: list[dict], key: tuple, human: bool) -> str | None:
    """Comments on one target, each once; those on its trace where the target is a span count as well."""
    trace, span, session = (None if v is None or v != v else v for v in key)
    found = [
        r["comment"]
        for r in said
        if bool(r["by_human"]) == human
        and (r["trace_id"] == trace if trace else r["trace_id"] is None and r["session_id"] == session)
        and r["span_id"] in (None, span)
    ]
    return "\n".join(dict.fromkeys(found)) or None


def _urls(obs, ids: list[str]) -> dict[str, str]:
    if not ids:
        return {}
    listed = ", ".join(map(literal, ids))
    found = rows(obs, f"SELECT trace_id, min(source_url) AS url FROM spans WHERE trace_id IN ({listed}) GROUP BY trace_id")
    return {r["trace_id"]: r["url"] for r in found}
