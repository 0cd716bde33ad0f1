"""Which traces an arm of a comparison holds: ``prompt_version=v12``, several with commas, or ``experiment=NAME``."""

from __future__ import annotations

from dataclasses import dataclass

from ...columns import literal, quote
from ...errors import UsageError
from ...schema import SPANS
from ...text import terminal
from ..incident.traces import OF_CALLS
from ..reductions import rows

EXPERIMENT = "experiment"
MOST_CHOICES = 12
_FORM = "give KEY=VALUE, several with commas, such as prompt_name=support,prompt_version=v12, release=2026.46 or experiment=NAME"
_KEY = "source, project, trace_id"


@dataclass(frozen=True)
class Selection:
    """An arm: ``conditions`` that all hold, each (key, value); ``text`` is how the user wrote it."""

    text: str
    conditions: tuple[tuple[str, str], ...]

    @property
    def experiment(self) -> str | None:
        """The experiment it names, if any."""
        return dict(self.conditions).get(EXPERIMENT)


def parse(text: object, what: str) -> Selection:
    """Read a selection. UsageError for what has no ``KEY=VALUE``, a part without value, or a key twice."""
    parts = [p.strip() for p in text.split(",")] if isinstance(text, str) else []
    pairs = [tuple(s.strip() for s in p.partition("=")[::2]) for p in parts]
    if not pairs or not all(key and value for key, value in pairs):
        raise UsageError(f"{what}={terminal(text, 120)!r} is not a selection; {_FORM}")
    if len({key for key, _ in pairs}) < len(pairs):
        raise UsageError(f"{what}={terminal(text, 120)!r} names a key twice; {_FORM}")
    return Selection(text, tuple(pairs))


def check(obs, selection: Selection, what: str) -> None:
    """UsageError for a key that is neither a column of spans nor a metadata key."""
    for key, _ in selection.conditions:
        if key == EXPERIMENT or key in SPANS:
            continue
        if not rows(obs, f"SELECT 1 AS one FROM spans WHERE metadata[{literal(key)}] IS NOT NULL LIMIT 1"):
            raise UsageError(f"{what}: {terminal(key, 60)!r} is neither a column nor a metadata key; {_FORM}")


def check_dataset(obs, dataset: str) -> None:
    """UsageError for a dataset that no experiment ran on, with those there are."""
    if rows(obs, f"SELECT 1 AS one FROM experiment_items WHERE {_of_dataset(dataset)} LIMIT 1"):
        return
    known = rows(
        obs,
        """SELECT DISTINCT coalesce(d.dataset, e.dataset_id) AS name FROM experiment_items e
        LEFT JOIN (SELECT DISTINCT source, project, dataset_id, dataset FROM dataset_items) d
          ON d.dataset_id = e.dataset_id AND d.source = e.source AND d.project = e.project ORDER BY name""",
    )
    raise UsageError(f"dataset={terminal(dataset, 80)!r}: no experiment ran on it; {_choices([r['name'] for r in known])}")


def arm_sql(selection: Selection, dataset: str | None) -> str:
    """One row per trace (and item) of an arm: source, project, trace_id, item.

    Without an experiment and a dataset only the product's own traffic counts; ``item`` is null there.
    """
    spans = _of_spans(selection, everything=bool(dataset or selection.experiment))
    if not (dataset or selection.experiment):
        return f"SELECT {_KEY}, CAST(NULL AS VARCHAR) AS item FROM ({spans}) t"
    named = literal(selection.experiment or "")
    parts = [f"(experiment = {named} OR experiment_id = {named})"] if selection.experiment else []
    parts += [_of_dataset(dataset)] if dataset else []
    items = f"SELECT DISTINCT {_KEY}, item_id AS item FROM experiment_items WHERE {' AND '.join(parts)}"
    if spans is None:
        return items
    return f"""SELECT i.source, i.project, i.trace_id, i.item FROM ({items}) i JOIN ({spans}) t
      ON t.trace_id = i.trace_id AND t.source = i.source AND t.project = i.project"""


def nothing_selected(obs, selection: Selection, what: str, dataset: str | None) -> UsageError:
    """The error for an arm without a trace: what was asked for, and what is stored."""
    key, value = selection.conditions[-1]
    if key == EXPERIMENT:
        sql = "SELECT DISTINCT coalesce(experiment, experiment_id) AS name FROM experiment_items ORDER BY name"
    else:
        column = f"CAST({quote(key)} AS VARCHAR)" if key in SPANS else f"metadata[{literal(key)}]"
        sql = f"""SELECT {column} AS name, count(*) AS n FROM spans WHERE {column} IS NOT NULL
          GROUP BY {column} ORDER BY n DESC, name LIMIT {MOST_CHOICES + 1}"""
    known = [r["name"] for r in rows(obs, sql)]
    where = f" on dataset {terminal(dataset, 60)!r}" if dataset else ""
    together = " together with the other conditions" if value in known else ""
    return UsageError(
        f"{what}={terminal(selection.text, 120)!r} selects no trace{where}{together}; {terminal(key, 60)}: {_choices(known)}"
    )


def _choices(known: list[str]) -> str:
    shown = ", ".join(terminal(k, 60) for k in known[:MOST_CHOICES])
    more = " …" if len(known) > MOST_CHOICES else ""
    return f"choose one of: {shown}{more}" if known else "the store holds none"


def _of_dataset(dataset: str) -> str:
    return f"""(dataset_id = {literal(dataset)} OR dataset_id IN (SELECT dataset_id FROM dataset_items
      WHERE dataset = {literal(dataset)}))"""


def _of_spans(selection: Selection, *, everything: bool) -> str | None:
    """Traces whose spans meet the conditions: those on calls in one span, the others in any; None without such a condition."""
    conditions = [c for c in selection.conditions if c[0] != EXPERIMENT]
    if not conditions:
        return None
    calls = [_is(k, v) for k, v in conditions if k in OF_CALLS]
    groups = [" AND ".join(calls)] if calls else []
    groups += [_is(k, v) for k, v in conditions if k not in OF_CALLS]
    having = " AND ".join(f"max(CASE WHEN {g} THEN 1 ELSE 0 END) = 1" for g in groups)
    purpose = "" if everything else "WHERE purpose IS NULL"
    return f"SELECT {_KEY} FROM spans {purpose} GROUP BY {_KEY} HAVING {having}"


def _is(key: str, value: str) -> str:
    stored = f"CAST({quote(key)} AS VARCHAR)" if key in SPANS else f"metadata[{literal(key)}]"
    return f"{stored} = {literal(value)}"
