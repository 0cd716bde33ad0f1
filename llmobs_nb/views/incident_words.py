"""What the incident result says, in words: verdict, levels with their intervals, onset, causes; the message of each chart."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from .. import units
from ..analyses.incident.claims import in_words
from ..analyses.incident.evidence import where_text
from ..text import terminal
from .common_words import cue, effect, level, local, moment, share, tz_of
from .theme import is_number, label

VERDICTS = {
    "incident": ("✗", "incident", "double"),
    "no_change": ("=", "no change", "dotted"),
    "not_enough_evidence": ("?", "not enough evidence", "dashed"),
    "judge_changed": ("≠", "the judge changed", "solid"),
    "traffic_mix_changed": ("≠", "the traffic mix changed", "solid"),
    "sampling_changed": ("≠", "the sampling changed", "solid"),
}
OTHERS = {**VERDICTS, "inside": ("=", "inside its margin", "dotted"), "open": ("?", "cannot be told", "dashed")}
MEANING = {
    "no_change": "Every watched metric stayed inside its margin. There is nothing to repair.",
    "not_enough_evidence": "Nothing was shown to move and nothing was shown to stay: there is too little data for either answer.",
    "judge_changed": "The scores moved because the judge moved. The product shows no sign of it; look at the judge first.",
    "traffic_mix_changed": "The average moved because other traffic came. Within the slices the level held: nothing broke.",
    "sampling_changed": "What gets measured changed, not how good it is. Compare again with the same sampling before and after.",
}
KINDS = {
    "prompt_text": "A passage in the prompt",
    "prompt_version": "A new prompt version",
    "model_version": "A new model version",
    "model_behaviour": "The model behaves differently under the same name",
    "configuration": "A changed setting",
    "retrieval": "A change in retrieval",
    "guardrail": "A guardrail that acts differently",
    "truncation": "Context or answers that are cut",
    "input_mix": "New kinds of questions",
    "agent_loop": "An agent that takes more steps",
    "prompt_cache": "A prompt cache that is used less",
    "price": "A changed price",
    "provider_latency": "A provider that became slower",
    "provider_errors": "A provider that fails more often",
}
CHECKS = {
    "ok": ("✓", "ok", "dotted"),
    "unusual": ("!", "unusual", "solid"),
    "wrong": ("✗", "wrong", "double"),
    "cannot_tell": ("?", "cannot tell", "dashed"),
}
SIDES = {"slice": "the slice", "rest": "the rest of traffic"}
_PAIR = re.compile(r"(?:^|, )([^=,]+)=(.*?)(?=, [^=,]+=|$)", re.DOTALL)
_TRACES = 5


def kind(cause) -> str:
    """The kind of a cause in words."""
    return KINDS.get(cause.kind) or label(cause.kind, 40)


def pairs(slice: object) -> dict[str, str]:
    """The equalities of a slice written ``name=value, name=value``; {} where it names none, as in ``all``.

    A comma inside a value stays in it unless ``, name=`` follows.
    """
    return dict(_PAIR.findall(slice)) if isinstance(slice, str) else {}


def where(given: Mapping[str, object]) -> str:
    """Equalities as a reader says them; without any it is all traffic."""
    return " and ".join(f"{label(k, 40)} = {label(v, 60)}" for k, v in given.items()) or "all traffic"


def place(result) -> str:
    """Where the first cause is, all traffic without one."""
    return where(result.causes[0].where) if result.causes else "all traffic"


def places(result) -> list[str]:
    """Every slice of the causes as the sentences of page and headline name it."""
    return [named for cause in result.causes for named in (where(cause.where), where_text(cause.where))]


def metric(result) -> str:
    """The metric that tells most, as it is called."""
    return label(result.label or result.metric or "the watched metrics", 60)


def short(value: float | None, unit: str) -> str:
    """A change without its interval, unsigned: the smallest that could have been seen."""
    kind = "relative" if unit == "relative" else "absolute"
    return units.change(value, unit, kind).lstrip("+-") if is_number(value) else units.MISSING


def onset(result) -> str:
    """When it began, how surely, how it came, and whether it is over; "" without an onset."""
    if result.onset is None:
        return ""
    tz, o = tz_of(result), result.onset
    shape = {"step": "at once", "ramp": "step by step", "burst": "as a burst"}.get(o.shape, label(o.shape, 20))
    began = f"Began {moment(o.time, tz)}, {shape} (90 % interval {moment(o.low, tz)} to {moment(o.high, tz)})"
    return f"{began}; {f'ended {moment(result.end, tz)}' if result.end is not None else 'still going on'}."


def detectable(result) -> str:
    """The smallest change that this data could have shown; "" where it is not known."""
    if not is_number(result.minimum_detectable):
        return ""
    least = short(*in_words(result.minimum_detectable, result.detectable_unit or result.unit))
    return f"The smallest change of {metric(result)} that this data could have shown is {least}."


def levels(result) -> str:
    """Before and after with interval and n; "" where nothing was compared."""
    told = level_parts(result)
    return f"{told[0]}: {told[1]} before, {told[2]} after." if told else ""


def level_parts(result) -> tuple[str, str, str] | None:
    """What was compared, its level before and after; None where nothing was."""
    if not result.before.ok and not result.after.ok:
        return None
    return f"{metric(result)} in {place(result)}", level(result.before, result.unit), level(result.after, result.unit)


def timeline(result) -> str:
    """The message of the timeline."""
    told = cue(VERDICTS, result.verdict)[1]
    if not len(result.timeline):
        return f"No daily levels: {told}"
    if result.onset is None or not (result.before.ok and result.after.ok):
        return f"{metric(result)} by day: {told}"
    verb = {"up": "rose", "down": "fell"}.get(result.direction, "went")
    before, after = (units.quantity(e.value, result.unit, low=e.ci_low, high=e.ci_high) for e in (result.before, result.after))
    since = f"{local(result.onset.time, tz_of(result)):%Y-%m-%d}"
    return f"{metric(result)} {verb} from {before} to {after} in {place(result)} on {since}"


def slices(result) -> str:
    """The message of the slice bars."""
    if not len(result.slices):
        return "No slices to compare"
    picked = result.slices[result.slices.picked == 1]
    if not len(picked):
        return f"No slice of {metric(result)} stands out"
    row = picked.iloc[0]
    moved = units.change(row.effect, result.unit, "absolute", low=row.low, high=row.high)
    return f"The slice {where(pairs(row.slice))} moved by {moved} net of the rest of traffic"


def opening(result) -> list[str]:
    """What stands under the headline: what the verdict means, levels, onset, the smallest change that could have been seen."""
    return [line for line in (meaning(result), levels(result), onset(result), detectable(result)) if line]


def meaning(result) -> str:
    """What the verdict means for the reader; "" for an incident."""
    return MEANING.get(result.verdict, "")


def brief(result) -> str:
    """Headline, verdict and opening, for a notebook that shows plain text."""
    return "\n".join([terminal(result.headline, 600), f"verdict: {cue(VERDICTS, result.verdict)[1]}", *opening(result)])


def summary(result) -> str:
    """The whole answer as lines for a terminal: headline, levels, onset, causes with evidence, first traces."""
    lines = [brief(result)]
    for n, cause in enumerate(result.causes, 1):
        lines += [f"{n}. {line}" if not at else f"   {line}" for at, line in enumerate(_cause(cause, result))]
    lines += [f"also: {other(o, tz_of(result))}" for o in result.others]
    if result.traces:
        rest = f" and {len(result.traces) - _TRACES} more" if len(result.traces) > _TRACES else ""
        lines.append(f"read first: {', '.join(label(t, 60) for t in result.traces[:_TRACES])}{rest}")
    return "\n".join(lines)


def _cause(cause, result) -> list[str]:
    lines = [f"{kind(cause)}: {where(cause.where)}, confidence {share(cause.confidence)}"]
    lines += [f"effect {effect(cause.effect, result.unit)}", *(terminal(e, 400) for e in cause.evidence)]
    if cause.diff:
        lines.append(f"{sign(cause.diff)} {terminal(cause.diff.passage, 400)}")
    return [*lines, f"to undo it: {terminal(cause.undo, 300)}"] if cause.undo else lines


def sign(diff) -> str:
    """Whether a passage came (+) or went (-)."""
    return "-" if diff.sign == "-" else "+"


def other(row: Mapping[str, object], tz: str) -> str:
    """Another metric that was looked at: its verdict, since when and where, or how far it can have moved."""
    o = Other.of(row, tz)
    parts = [f" since {o.since}" if o.since else "", f" in {o.where}" if o.where else "", f", {o.kind}" if o.kind else ""]
    parts += [f", change {o.change} (margin {o.margin})" if o.change else ""]
    return f"{o.metric}: {cue(OTHERS, o.verdict)[1]}{''.join(parts)}"


@dataclass(frozen=True)
class Other:
    """Another metric in words; what is not known is ""."""

    metric: str
    verdict: object
    since: str
    where: str
    kind: str
    change: str
    margin: str

    @classmethod
    def of(cls, row: Mapping[str, object], tz: str) -> Other:
        given = row.get("where")
        place = where(given) if isinstance(given, Mapping) and given else ""
        known = KINDS.get(row.get("kind")) or (label(row["kind"], 40) if row.get("kind") else "")
        return cls(label(row.get("metric"), 60), row.get("verdict"), _since(row.get("onset"), tz), place, known, *_reach(row))


def _since(onset: object, tz: str) -> str:
    """A moment with its interval: an onset as JSON has it, or a moment alone."""
    if isinstance(onset, Mapping):
        time, low, high = (_since(onset.get(k), tz) for k in ("time", "low", "high"))
        return f"{time} ({low} to {high})" if low and high else time
    try:
        return moment(datetime.fromisoformat(onset) if isinstance(onset, str) else onset, tz) if onset else ""
    except ValueError:
        return units.MISSING


def _reach(row: Mapping[str, object]) -> tuple[str, str]:
    """Between what the change of a metric lies and its margin; "" where they were not asked."""
    if "margin" not in row:
        return "", ""
    (low, unit), (high, _), (margin, _) = (in_words(row.get(k), str(row.get("unit") or "")) for k in ("low", "high", "margin"))
    kind = "relative" if unit == "relative" else "absolute"
    return f"{units.change(low, unit, kind)} to {units.change(high, unit, kind)}", short(margin, unit)
