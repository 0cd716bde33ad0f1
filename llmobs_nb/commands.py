"""What the commands that answer a question ask for and print: one pair of functions each, arguments and run."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable

from .errors import UsageError

JSON = {"action": "store_true", "help": "the Result as one JSON document"}


def add_analyses(command: Callable, observations: Callable) -> None:
    """Add them to a command line: ``command(name, run, help)`` gives a parser, ``observations(args)`` the handle they look at."""
    for name, (arguments, run, help) in ANALYSES.items():
        narrowed = _as_asked if name not in WHOLE else _without_window
        arguments(command(name, lambda args, run=run, narrowed=narrowed: run(args, observations(narrowed(args))), help))


def _as_asked(args: argparse.Namespace) -> argparse.Namespace:
    return args


def _without_window(args: argparse.Namespace) -> argparse.Namespace:
    return argparse.Namespace(**(vars(args) | {"since": None, "until": None}))


def to_json(value: object) -> str:
    """Strict JSON, as every command prints it."""
    return json.dumps(value, allow_nan=False, ensure_ascii=False, indent=2)


def _incident_arguments(parser) -> None:
    parser.add_argument("--metric", default="auto", metavar="NAME", help="the metric to look at (default auto: all of them)")
    parser.add_argument("--onset", metavar="TIME", help="since when, where you know it: an ISO date or time")
    parser.add_argument("--before", metavar="FROM/TO", help="a baseline to compare with, such as 2026-09-21/2026-10-04")
    parser.add_argument("--after", metavar="FROM/TO", help="the window to compare with the baseline")
    parser.add_argument(
        "--expected", action="append", metavar="KEY=VALUE",
        help="what should be live: model, model_requested or prompt_version; KEY=NAME:VALUE for one prompt or feature; several times",
    )  # fmt: skip
    parser.add_argument("--remember", action="store_true", help="keep what was found in the store: later answers know it again")
    parser.add_argument("--json", **JSON)


def _incident(args, obs) -> int:
    from .analyses.incident import incident, remember
    from .views.incident_words import summary

    asked = {name: getattr(args, name) for name in ("metric", "onset", "before", "after", "tz")}
    result = incident(obs, **asked, expected=", ".join(args.expected or ()))
    if args.remember:
        remember(result)
    print(to_json(result.json()) if args.json else summary(result))
    return 0


def _weekly_arguments(parser) -> None:
    parser.add_argument("--week", metavar="WEEK", help="ISO week such as 2026-W46, or a date in it")
    parser.add_argument("--against", metavar="WEEK", help="the week to compare with")
    parser.add_argument("--baseline", metavar="FROM/TO", help="what stands beside both (default: the four weeks before)")
    parser.add_argument("--period", default="week", metavar="PERIOD", help="week, month or quarter (default week)")
    parser.add_argument(
        "--by", action="append", metavar="NAME", help="a short list of KPIs by a column or metadata key; several times"
    )
    parser.add_argument("--drift", action="store_true", help="also what drifted: reads a sample of texts")
    parser.add_argument("--json", **JSON)


def _weekly(args, obs) -> int:
    from .analyses.weekly import weekly

    asked = {name: getattr(args, name) for name in ("week", "against", "baseline", "period", "tz")}
    result = weekly(obs, **asked, by=tuple(args.by or ()), beside="all" if args.drift else "usual")
    print(to_json(result.json()) if args.json else repr(result))
    return 0


def _gate_arguments(parser) -> None:
    parser.add_argument(
        "--baseline", required=True, metavar="SEL", help="prompt_version=v11, several with commas; release=…; experiment=NAME"
    )
    parser.add_argument("--candidate", required=True, metavar="SEL", help="what may replace it, written alike")
    parser.add_argument("--dataset", metavar="NAME", help="only the runs of this dataset")
    parser.add_argument(
        "--margin", action="append", metavar="X", help="a number for rates and scores, or NAME=X for one metric; several times"
    )
    parser.add_argument("--metric", action="append", metavar="NAME", help="only this metric; several times")
    parser.add_argument("--json", **JSON)


def _gate(args, obs) -> int:
    from .analyses.gate import gate
    from .views.gate_page import summary

    given = args.margin or []
    named = dict(m.rsplit("=", 1) for m in given if "=" in m)
    if len(given) > 1 and len(named) < len(given):
        raise UsageError(f"--margin {' '.join(given)}: give one number, or NAME=X for each")
    asked = {"baseline": args.baseline, "candidate": args.candidate, "dataset": args.dataset, "metrics": args.metric}
    result = gate(obs, **asked, margin=named or (given[0] if given else None))
    print(to_json(result.json()) if args.json else summary(result))
    return result.exit_code


def _check_arguments(parser) -> None:
    parser.add_argument(
        "--rules", default="default", metavar="FILE", help="YAML file of rules, or the name of a preset (default default)"
    )
    parser.add_argument(
        "--at", metavar="TIME", help="as of when: an ISO time, an age such as 6h, or now (default: the end of the data)"
    )
    parser.add_argument("--no-state", action="store_true", help="only evaluate: nothing is remembered and nothing sent")
    parser.add_argument("--report", metavar="FILE", help="a finished report that goes out by the routes of the rules")
    parser.add_argument("--json", **JSON)


def _check(args, obs) -> int:
    from .analyses.alerts import check, send_report

    result = check(obs, args.rules, at=args.at, state=not args.no_state, out=sys.stderr)
    print(to_json(result.json()) if args.json else result.text())
    if args.report:
        send_report(args.report, args.rules, out=sys.stderr)
    return result.exit_code


def _drift_arguments(parser) -> None:
    parser.add_argument("--before", metavar="FROM/TO", help="the baseline (default: the four weeks before)")
    parser.add_argument("--after", metavar="FROM/TO", help="the window to compare with it (default: the last week)")
    parser.add_argument("--column", metavar="NAME", help="a column or metadata key that holds your vectors")
    parser.add_argument(
        "--sample", type=int, default=4000, metavar="N", help="most texts of the window that are read (default 4000)"
    )
    parser.add_argument("--json", **JSON)


def _drift(args, obs) -> int:
    from .analyses.drift import drift
    from .views import drift as view

    result = drift(obs, before=args.before, after=args.after, column=args.column, sample=args.sample, tz=args.tz)
    print(to_json(result.json()) if args.json else repr(view(result)))
    return 0


def _cost_arguments(parser) -> None:
    parser.add_argument("--against", metavar="FROM/TO", help="the window to compare with (default: as long before)")
    parser.add_argument(
        "--by",
        action="append",
        metavar="NAME",
        help="a column or metadata key to split by; several times (default feature, model)",
    )
    parser.add_argument("--budgets", metavar="FILE", help="YAML file of budgets")
    parser.add_argument("--month", metavar="MONTH", help="the month to forecast, such as 2026-11 (default that of the last day)")
    parser.add_argument(
        "--scenario", action="append", metavar="NAME=X", help="volume=1.2, price=0.9 or mix=1.1 for what is to come"
    )
    parser.add_argument("--focus", metavar="FILE", help="also write what was spent in FinOps FOCUS columns: .csv or .parquet")
    parser.add_argument(
        "--reconcile", metavar="FILE", help="instead compare with a provider's cost export (CSV) by day and model"
    )
    parser.add_argument("--json", **JSON)


def _cost(args, obs) -> int:
    from .analyses.cost import cost
    from .analyses.cost.focus import focus
    from .analyses.cost.reconcile import reconcile
    from .views.cost_words import summary

    window = {"since": args.since, "until": args.until}
    if args.reconcile:
        answer = reconcile(obs, args.reconcile, **window)
        print(to_json(answer.json()) if args.json else repr(answer))
        return 0
    asked = {name: getattr(args, name) for name in ("against", "budgets", "month", "tz")}
    by = {"by": tuple(args.by)} if args.by else {}
    result = cost(obs, **window, **asked, **by, scenario=_numbers("--scenario", args.scenario))
    print(to_json(result.json()) if args.json else summary(result))
    if args.focus:
        done = focus(obs, args.focus, **window, tz=args.tz)
        print(f"{done.rows:,} rows of FOCUS in {done.path}", file=sys.stderr)
    return 0


def _numbers(option: str, given: list[str] | None) -> dict[str, float]:
    """``NAME=X`` arguments as numbers."""
    out = {}
    for text in given or ():
        name, _, value = text.partition("=")
        try:
            out[name.strip()] = float(value)
        except ValueError:
            raise UsageError(f"{option} {text!r} is no name and number; write it as volume=1.2") from None
    return out


def _calibrate_arguments(parser) -> None:
    parser.add_argument("--judge", metavar="NAME", help="the judge's score (default: the one with most human labels beside it)")
    parser.add_argument("--human", metavar="NAME", help="the human label (default: as the judge's score)")
    parser.add_argument("--pass-at", type=float, metavar="X", help="a score of X or more is a pass")
    parser.add_argument("--human-pass-at", type=float, metavar="X", help="a label of X or more is a pass (default: as --pass-at)")
    parser.add_argument(
        "--design", default="auto", metavar="HOW",
        help="how the labelled ones were drawn: random, by_verdict, by_label, weights, period or auto (default auto)",
    )  # fmt: skip
    parser.add_argument("--by", action="append", metavar="NAME", help="agreement by a column or metadata key; several times")
    parser.add_argument(
        "--cluster", default="session_id", metavar="NAME", help="session_id, trace_id or none: what depends on one another"
    )
    parser.add_argument("--json", **JSON)


def _calibrate(args, obs) -> int:
    from .analyses.calibration import calibrate
    from .views.calibration_summary import summary

    asked = {name: getattr(args, name) for name in ("judge", "human", "pass_at", "human_pass_at", "design", "cluster", "tz")}
    result = calibrate(obs, **asked, by=tuple(args.by or ()))
    print(to_json(result.json()) if args.json else summary(result))
    return 0


# These read beyond --since and --until themselves: what they compare with lies before.
WHOLE = ("cost",)
ANALYSES = {
    "incident": (_incident_arguments, _incident, "what moved, when, where and why; or that nothing moved"),
    "weekly": (_weekly_arguments, _weekly, "this week against last week"),
    "cost": (_cost_arguments, _cost, "who and what spends, why it moved, what the month will cost, what is wasted"),
    "calibrate": (_calibrate_arguments, _calibrate, "may this judge be trusted, what is the true pass rate, what to label next"),
    "check": (_check_arguments, _check, "alert rules: exit 0 all well, 1 a warning fires, 2 a critical one"),
    "drift": (_drift_arguments, _drift, "what people ask and what is answered: did it change against the weeks before"),
    "gate": (_gate_arguments, _gate, "may a candidate replace the baseline; exit 0 pass, 1 blocked or inconclusive"),
}
