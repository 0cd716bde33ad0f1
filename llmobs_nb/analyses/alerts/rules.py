"""Alert rules as somebody writes them, in YAML or as dicts; every key and every value is checked before anything is looked at."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib import resources
from typing import Any

from ...errors import InputError, UsageError, choose
from ...routes import Route, read_routes
from ...text import terminal
from .compare import DAY, Compare, duration, mapping, number, read_compare
from .metrics import EVENTS, Measure, measure_of

SEVERITIES = ("info", "warning", "critical")
NO_DATA = ("ok", "warn", "firing")
KEYS = (
    "name", "preset", "metric", "window", "where", "by", "compare", "for", "min_n", "severity", "cooldown", "no_data", "owner", "runbook",
    "route", "note",
)  # fmt: skip
FINEST, LONGEST = timedelta(minutes=5), timedelta(days=400)


@dataclass(frozen=True)
class Rule:
    """One checked rule.

    ``window`` is what is looked at, ``hold`` (the key ``for``) how long the condition must have held. ``by`` splits by up to two
    dimensions, ``where`` picks traffic: {dimension: values}. ``min_n`` None is 1, for totals 0. ``note`` says what is known of its
    false alarms.
    """

    name: str
    metric: str
    compare: Compare
    window: timedelta = DAY
    hold: timedelta = timedelta()
    where: tuple[tuple[str, tuple], ...] = ()
    by: tuple[str, ...] = ()
    min_n: int | None = None
    severity: str = "warning"
    cooldown: timedelta = DAY
    no_data: str = "ok"
    owner: str | None = None
    runbook: str | None = None
    note: str | None = None
    routes: tuple[Route, ...] = ()

    @property
    def measure(self) -> Measure:
        """The metric as it is measured."""
        return measure_of(self.metric)

    @property
    def step(self) -> timedelta:
        """How often it is worth a look: daily for windows of a day and more, else hourly."""
        return DAY if self.window >= DAY else timedelta(hours=1)

    @property
    def width(self) -> timedelta:
        """The bins its windows are made of: hours where they fit, else five minutes."""
        hour = timedelta(hours=1)
        return FINEST if any(t % hour for t in self.lengths) else hour

    @property
    def lengths(self) -> tuple[timedelta, ...]:
        """Everything that must be made of whole bins."""
        return (self.window, self.hold, *([self.compare.short] if self.compare.kind == "burn_rate" else []))

    @property
    def reach(self) -> timedelta:
        """How far before the moment of a check its data begin."""
        c = self.compare
        back = c.baseline.reach if c.baseline else timedelta()
        looks = max(c.looks) * DAY if c.kind == "anomaly" else timedelta()
        history = timedelta(days=56) if self.measure.kind == "event" else timedelta()
        return self.window + self.hold + self.step + back + looks + history

    @property
    def least(self) -> int:
        """The fewest rows that a window must hold."""
        return self.min_n if self.min_n is not None else int(self.measure.kind not in ("total", "distinct", "event"))


def read_rules(rules: Any = None) -> tuple[Rule, ...]:
    """Rules from a YAML file, a dict, a list of dicts or the name of a preset (a rule of ours, or a set of them); None is ``default``.

    Raises InputError for a file that cannot be read, UsageError for anything in it that is not understood: one line that names
    the rule, the key, the value and the choices.
    """
    if rules is None or isinstance(rules, (str, os.PathLike)):
        rules = _named("default" if rules is None else os.fspath(rules))
    if isinstance(rules, Rule):
        rules = [rules]
    if isinstance(rules, Mapping):
        rules = [rules] if "metric" in rules or "preset" in rules else _file(rules)
    if not isinstance(rules, Sequence) or not rules:
        raise UsageError(
            f"rules={terminal(rules, 60)!r} hold no rule; give a YAML file, a list of rules or one of: {', '.join(names())}"
        )
    out = [r if isinstance(r, Rule) else read_rule(r, k) for k, r in enumerate(rules, 1)]
    seen: set[str] = set()
    for rule in out:
        if rule.name in seen:
            raise UsageError(f"rule {rule.name!r} stands twice; give each rule a name of its own")
        seen.add(rule.name)
    return tuple(out)


def names() -> list[str]:
    """Presets: sets of rules first, then the rules."""
    return [*_presets()["sets"], *_presets()["rules"]]


def preset(name: str) -> dict:
    """A rule of ours as it is written in presets.yaml."""
    choose("preset", name, _presets()["rules"])
    return {"name": name, **_presets()["rules"][name]}


def read_rule(told: Any, place: int = 1) -> Rule:
    """One rule from a mapping; ``preset: NAME`` takes everything that is not given from a rule of ours."""
    where = f"rule {place}"
    told = mapping(where, told, KEYS)
    if "preset" in told:
        told = preset(told["preset"]) | {k: v for k, v in told.items() if k != "preset"}
    name = _text(f"{where}: name", told.get("name"))
    where = f"rule {name!r}"
    for key in ("metric", "compare"):
        if key not in told and not (key == "compare" and told["metric"] in EVENTS):
            raise UsageError(f"{where} has no {key}; a rule needs name, metric and compare")
    measure = measure_of(told["metric"], where=where)
    compare = read_compare(where, told.get("compare", {"above": 0}))
    made = Rule(
        name=name, metric=measure.name, compare=compare, by=_by(f"{where}: by", told.get("by")),
        window=compare.long if compare.kind == "burn_rate" else duration(f"{where}: window", told.get("window", "1d")),
        hold=duration(f"{where}: for", told["for"]) if "for" in told else timedelta(),
        where=_where(f"{where}: where", told.get("where") or {}),
        min_n=int(number(f"{where}: min_n", told["min_n"], low=0)) if "min_n" in told else None,
        severity=choose(f"{where}: severity", told.get("severity", "warning"), SEVERITIES),
        cooldown=duration(f"{where}: cooldown", told.get("cooldown", "1d")),
        no_data=choose(f"{where}: no_data", told.get("no_data", "ok"), NO_DATA),
        owner=_optional(f"{where}: owner", told.get("owner")), runbook=_optional(f"{where}: runbook", told.get("runbook")),
        note=_optional(f"{where}: note", told.get("note")), routes=read_routes(where, told.get("route")),
    )  # fmt: skip
    _fits(where, made)
    return made


def _fits(where: str, rule: Rule) -> None:
    """What no single key can say."""
    measure, c = rule.measure, rule.compare
    odd = next((t for t in rule.lengths if t % FINEST), None)
    if odd is not None:
        raise UsageError(f"{where}: {odd} is no multiple of 5 minutes; give such as 5m, 30m or 1h")
    if rule.reach > LONGEST:
        raise UsageError(
            f"{where} reaches {rule.reach.days} days back; give windows and a baseline of less than {LONGEST.days} days"
        )
    if measure.kind == "event" and (rule.by or c.kind != "above"):
        raise UsageError(
            f"{where}: {measure.name} is an event; it takes no by, and of compare only above (a count, 0 by default) and allowed"
        )
    if c.allowed and measure.name != "unexpected_model":
        raise UsageError(f"{where}: compare: allowed goes with the metric unexpected_model; remove it from {measure.name}")
    if c.kind == "burn_rate" and measure.kind != "rate" and not (c.bad and measure.kind in ("mean", "log")):
        raise UsageError(
            f"{where}: a burn rate counts bad events, {measure.name} is none; give bad_above or bad_below of a metric of single traces"
        )
    if c.kind == "burn_rate" and c.bad and measure.kind == "rate":
        raise UsageError(f"{where}: {measure.name} counts bad events already; remove bad_{c.bad[0]}")
    if c.kind == "anomaly" and (measure.kind == "distinct" or (c.method == "ks" and measure.kind not in ("mean", "log"))):
        raise UsageError(f"{where}: {measure.name} has no anomaly by method {c.method}; compare it by rise, drop, above or below")
    if c.kind == "anomaly" and rule.window > DAY:
        raise UsageError(
            f"{where}: an anomaly looks at windows of a day or less; set looks: [1, 3, 7, 14] to look at several days"
        )


def _named(name: str) -> Any:
    """A preset or a file."""
    if name in _presets()["sets"]:
        return [preset(n) for n in _presets()["sets"][name]]
    if name in _presets()["rules"]:
        return [preset(name)]
    if not os.path.exists(name) and os.sep not in name and not name.endswith((".yaml", ".yml")):
        choose("rules", name, [*names(), "or a YAML file"])
    return _read_yaml(name)


def _read_yaml(path: str) -> Any:
    import yaml

    try:
        with open(path, encoding="utf-8") as stream:
            return yaml.safe_load(stream)
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise InputError(f"rules {terminal(path)!r} cannot be read: {why}; give a YAML file with a list of rules") from None
    except yaml.YAMLError as error:
        raise InputError(f"rules {terminal(path)!r} are no YAML: {terminal(error, 160)}; write a list of rules") from None


def _file(told: Mapping) -> list:
    """``{rules: […], presets: […]}``."""
    told = mapping("rules", told, ("rules", "presets"))
    own, ours = told.get("rules") or [], told.get("presets") or []
    for key, value in (("rules", own), ("presets", ours)):
        if not isinstance(value, list):
            raise UsageError(f"{key}={terminal(value, 60)!r} is no list; write one item a line, each after a dash")
    for name in ours:
        choose("presets", name, names())
    return [*own, *(one for name in ours for one in _named(name))]


@cache
def _presets() -> dict:
    import yaml

    return yaml.safe_load(resources.files(__package__).joinpath("presets.yaml").read_text(encoding="utf-8"))


def _text(what: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > 2000:
        raise UsageError(f"{what}={terminal(value, 60)!r} is no text; give one of at most 2,000 characters")
    return value.strip()


def _optional(what: str, value: Any) -> str | None:
    return None if value is None else _text(what, value)


def _by(what: str, value: Any) -> tuple[str, ...]:
    found = () if value is None else (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else (None,)
    if len(found) > 2 or not all(isinstance(v, str) and v for v in found):
        raise UsageError(
            f"{what}={terminal(value, 60)!r} is no dimension; give one name or two, such as feature or [feature, tenant_id]"
        )
    return found


def _where(what: str, value: Any) -> tuple[tuple[str, tuple], ...]:
    if not isinstance(value, Mapping) or not all(isinstance(k, str) and k for k in value):
        raise UsageError(f"{what}={terminal(value, 60)!r} is no filter; give such as {{feature: support}}")
    out = []
    for name, one in value.items():
        many = tuple(one) if isinstance(one, list) else (one,)
        if not all(v is None or isinstance(v, (str, int, float, bool)) for v in many):
            raise UsageError(
                f"{what}: {terminal(name, 60)}={terminal(one, 60)!r} is no value; give a text, a number, null or a list of them"
            )
        out.append((name, tuple(v if v is None else str(v).lower() if isinstance(v, bool) else str(v) for v in many)))
    return tuple(out)
