"""The command line. stdout carries the answer and nothing else; stderr carries progress, warnings and errors."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from . import __version__
from .commands import add_analyses, to_json
from .errors import InternalError, LlmobsError, UsageError
from .text import terminal

DEMO_OUT = "llmobs-demo"
TEMPLATES = ("incident_root_cause", "weekly_quality_review", "cost_attribution", "judge_calibration")


class _Parser(argparse.ArgumentParser):
    """An argument parser whose mistakes are ours: one line, exit 3."""

    def error(self, message: str):
        raise UsageError(f"{terminal(message, 400)}; see: {self.prog} --help")


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit code of CONTRACTS.md."""
    try:
        args = _parser().parse_args(argv)
        return args.run(args)
    except KeyboardInterrupt:
        return _interrupted()
    except BrokenPipeError:
        sys.stdout = None
        return 0
    except LlmobsError as error:
        return _fail(error, error.exit_code)
    except (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError) as error:
        return _fail(UsageError(f"{terminal(error.filename)}: {error.strerror}; check the path and its permissions"), 3)
    except Exception as error:
        from .engine.duck import is_interrupt

        if is_interrupt(error):
            return _interrupted()
        if os.environ.get("LLMOBS_DEBUG"):
            raise
        text = f"{type(error).__name__}: {terminal(error, 300)}; this is a fault of ours, LLMOBS_DEBUG=1 shows where"
        return _fail(InternalError(text), InternalError.exit_code)


def entry() -> None:
    """The console script."""
    sys.exit(main())


def _interrupted() -> int:
    print("interrupted; nothing half done is kept, run the same command again", file=sys.stderr)
    return 130


def _fail(error: LlmobsError, code: int) -> int:
    print(f"llmobs: {terminal(error, 1000)}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="llmobs", description="The statistician over your LLM traces.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"llmobs_nb {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser, required=True)
    demo = _command(commands, "demo", _demo, "bundled data, a store, the report of an incident", store=False)
    demo.add_argument("--out", default=DEMO_OUT, metavar="DIR", help=f"where store and report go (default {DEMO_OUT})")
    ingest = _command(commands, "ingest", _ingest, "read files, globs or folders into a store")
    ingest.add_argument("paths", nargs="+", metavar="PATH")
    ingest.add_argument("--format", default="auto", help="what the files are; auto looks at them (see: llmobs formats)")
    ingest.add_argument("--mapping", metavar="FILE", help="YAML file that says where your columns stand")
    ingest.add_argument("--prices", metavar="FILE", help="CSV or YAML file of dated prices that go before the public ones")
    pull = _command(commands, "pull", _pull, "bring traces and scores from a vendor's API into a store")
    pull.add_argument("vendor", metavar="VENDOR", help="langfuse or langsmith; keys and addresses by their own variables")
    pull.add_argument("--project", action="append", default=[], metavar="NAME", help="name or id; may be given several times")
    pull.add_argument(
        "--io", default="none", help="inputs and outputs of which traces: all, errors, sampled, none (default none)"
    )
    pull.add_argument("--full", action="store_true", help="fetch everything again and mark what has vanished at the source")
    pull.add_argument("--strict", action="store_true", help="exit 1 when something is missing or the source counts more")
    pull.add_argument(
        "--plan",
        help="your plan at the vendor, for its rate limits: Langfuse hobby, core, pro, self-hosted; LangSmith cloud, self-hosted",
    )
    pull.add_argument("--key", action="append", default=[], metavar="KEY", help="a metadata key whose values must come whole")
    push = _command(
        commands, "push", _push, "send human labels, golden items and queue entries to a vendor; a dry run without --push"
    )
    push.add_argument("vendor", metavar="VENDOR", help="langfuse or langsmith; keys and addresses by their own variables")
    push.add_argument(
        "--scores", metavar="FILE", help="CSV, JSONL or Parquet file of labels: name, trace_id, value or label, rater_id …"
    )
    push.add_argument(
        "--dataset", nargs=2, metavar=("NAME", "FILE"), help="golden items: input, expected, metadata, trace_id, span_id"
    )
    push.add_argument("--queue", nargs=2, metavar=("NAME", "FILE"), help="annotation queue and a file with trace_id")
    push.add_argument("--push", action="store_true", help="really send; without it only what would go is printed")
    status = _command(commands, "status", _status, "what is in a store, how complete, what is wrong with it")
    status.add_argument("--json", action="store_true", help="one JSON document")
    add_analyses(partial(_command, commands), _observations)
    report = _command(commands, "report", _report, "run a template notebook and freeze it to one HTML file")
    report.add_argument("name", metavar="NAME", help=", ".join(TEMPLATES))
    report.add_argument("--out", required=True, metavar="DIR")
    report.add_argument("-p", nargs=2, action="append", default=[], metavar=("KEY", "VALUE"), help="a parameter of the notebook")
    new = _command(commands, "new", _new, "copy a template notebook", store=False)
    new.add_argument("name", metavar="NAME")
    new.add_argument("folder", nargs="?", default=".", metavar="DIR")
    formats = _command(commands, "formats", _formats, "the file formats that ingest reads", store=False)
    formats.add_argument("--json", action="store_true")
    return parser


def _command(commands, name: str, run: Callable, help: str, *, store: bool = True) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=help, description=help, allow_abbrev=False)
    parser.set_defaults(run=run)
    if store:
        parser.add_argument(
            "--store", metavar="DIR", help="the store: a folder, or s3://bucket/prefix (default $LLMOBS_STORE, then .llmobs)"
        )
    common = parser.add_argument_group("common")
    common.add_argument("--since", metavar="TIME", help="from this date or time on, or an age such as 7d or 24h")
    common.add_argument("--until", metavar="TIME", help="before this date or time")
    common.add_argument("--tz", default="UTC", help="time zone of dates and weeks (default UTC)")
    common.add_argument("--engine", default="duckdb", help="duckdb")
    common.add_argument("--memory", default="2GB", help="most memory the engine takes (default 2GB)")
    common.add_argument("--threads", type=int, metavar="N")
    common.add_argument("--quiet", action="store_true", help="no progress on stderr")
    return parser


def _observations(args):
    from .errors import choose
    from .observations import open_store

    choose("engine", args.engine, ["duckdb"])
    obs = open_store(args.store, memory=args.memory, threads=args.threads)
    return obs.between(args.since, args.until, tz=args.tz) if args.since or args.until else obs


def _say(args, text: str) -> None:
    if not args.quiet:
        print(text, file=sys.stderr, flush=True)


def _progress(args) -> Callable[[str], None] | None:
    """Lines of progress, at most five a second; none when quiet."""
    if args.quiet:
        return None
    last = [0.0]

    def show(text: str) -> None:
        if time.monotonic() - last[0] > 0.2:
            last[0] = time.monotonic()
            print(terminal(text), file=sys.stderr, flush=True)

    return show


def _ingest_into(args, paths, store: str, *, format: str = "auto", mapping=None, prices=None):
    from .ingest.run import ingest
    from .store.store import Store

    done = ingest(
        paths, Store(store), format=format, mapping=mapping, prices=prices, threads=args.threads, progress=_progress(args)
    )
    recognised = ", ".join(f"{name} ({n:,} {'file' if n == 1 else 'files'})" for name, n in done.formats().items())
    _say(args, f"recognised: {recognised}")
    for note in done.notes:
        print(f"llmobs: note: {terminal(note, 600)}", file=sys.stderr, flush=True)
    return done


def _ingest(args) -> int:
    from .observations import default_store

    store = default_store(args.store)
    done = _ingest_into(args, args.paths, store, format=args.format, mapping=args.mapping, prices=args.prices)
    rows = ", ".join(f"{n:,} {table}" for table, n in done.tally.kept.items())
    print(f"{terminal(done.summary(), 600)}\n{rows} into {terminal(store)} in {done.seconds:.1f} s")
    return 0


def _pull(args) -> int:
    from .errors import InterruptError
    from .pulling.run import pull

    asked = {name: getattr(args, name) for name in ("since", "until", "project", "io", "full", "plan", "threads", "tz")}
    try:
        pulled = pull(args.vendor, store=args.store, keys=args.key, progress=_progress(args), **asked)
    except KeyboardInterrupt:
        raise InterruptError("interrupted; what was fetched is kept, the same command goes on from there") from None
    for done in pulled:
        for note in done.notes:
            _say(args, f"llmobs: note: {terminal(note, 600)}")
        print("\n".join(done.lines()))
    unfinished = [done for done in pulled if not done.finished]
    if args.strict and not all(done.complete for done in pulled):
        return 1
    if unfinished:
        named = ", ".join(terminal(done.project.name, 60) for done in unfinished)
        raise UsageError(
            f"the pull of {named} could not be finished; what was fetched is kept, the same command goes on from there"
        )
    return 0


def _push(args) -> int:
    from .sources.tables.frames import read_table
    from .writeback import push

    given = {"scores": read_table(args.scores) if args.scores else None}
    given["dataset"] = (args.dataset[0], read_table(args.dataset[1])) if args.dataset else None
    given["queue"] = (args.queue[0], read_table(args.queue[1], column="trace_id")) if args.queue else None
    done = push(_observations(args), to=args.vendor, dry_run=not args.push, progress=_progress(args), **given)
    print(done.text())
    return 1 if done.of("failed") else 0


def _status(args) -> int:
    from .status import to_text

    obs = _observations(args)
    status = obs.status()
    print(to_json(status) if args.json else to_text(status, obs.store))
    return 0


def _report(args) -> int:
    from .observations import default_store
    from .reports import report

    parameters = dict(args.p)
    for name in ("since", "until"):
        if getattr(args, name):
            parameters.setdefault(name, getattr(args, name))
    if args.tz != "UTC":
        parameters.setdefault("tz", args.tz)
    done = report(args.name, store=default_store(args.store), out=args.out, parameters=parameters, quiet=args.quiet)
    return _reported(done)


def _reported(done) -> int:
    if done.error:
        print(f"llmobs: {terminal(done.error, 1000)}", file=sys.stderr)
    print(done.html)
    return done.exit_code


def _demo(args) -> int:
    from .demodata import data_folder
    from .reports import report

    out = Path(args.out)
    store = str(out / "store")
    _say(args, "reading the bundled data …")
    _ingest_into(args, [data_folder()], store)
    _say(args, "looking for what moved …")
    done = report("incident_root_cause", store=store, out=out, quiet=args.quiet)
    if done.result_json:
        print(terminal(json.loads(done.result_json.read_text(encoding="utf-8")).get("headline", ""), 1000))
    return _reported(done)


def _new(args) -> int:
    from .reports.templates import copy

    print(copy(args.name, args.folder))
    return 0


def _formats(args) -> int:
    from .sources.registry import formats

    found = {f.name: f.about for f in formats().values()}
    print(to_json(found) if args.json else "\n".join(f"{name:<22} {about}" for name, about in found.items()))
    return 0
