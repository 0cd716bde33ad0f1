"""The generator of incidents: the same seed the same case, the truth agrees with the data, every kind leaves its fingerprint."""

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import timedelta
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from incidents import FALSE, INCIDENTS, JUDGING, KINDS, QUIET, TUNING, case, words
from incidents.build import STAGES
from incidents.marks import failed, mark, overlap
from incidents.measure import METRICS, measured, welch
from incidents.story import DAY, draw_story
from incidents.write import OLDER
from scipy import stats

import llmobs_nb as lm

TRACES = 3000
STRONG = 6


@cache
def made(seed, kind=None):
    return case(seed, traces=TRACES, kind=kind)


@cache
def small(seed, kind=None):
    """A thousand traces."""
    return case(seed, traces=1000, kind=kind)


@cache
def strong(kind):
    """The first step of a kind that shows clearly, with no canary."""
    for seed in range(100):
        story = draw_story(np.random.default_rng([seed, STAGES.index("story")]), kind, 56)
        if story.z > STRONG + 2 and story.shape == "step" and not story.canary:
            one = made(seed, kind)
            if abs(one.truth.oracle_z) >= STRONG:
                return one
    raise AssertionError(f"no strong {kind} in 100 seeds")


USUAL = ("trace_id", "kind", "status", "start_time", "model", "model_requested", "prompt_name", "prompt_version", "metadata")


@cache
def by_trace(one, *columns):
    """The spans of each trace as dicts in canonical names, times in microseconds: the usual columns, those of ``where``, and more."""
    older = {v: k for k, v in OLDER.items()}
    spans = one.spans.rename_columns([older.get(n, n) for n in one.spans.column_names])
    spans = spans.select([n for n in spans.column_names if n in (*USUAL, *one.truth.where, *columns)])
    micros = [pc.cast(c, pa.int64()) if pa.types.is_timestamp(c.type) else c for c in spans.columns]
    found = defaultdict(list)
    for row in pa.table(micros, names=spans.column_names).to_pylist(maps_as_pydicts="strict"):
        found[row["trace_id"]].append(row)
    return found


def micros(time):
    return time.timestamp() * 1e6


def value(spans, name):
    """What a trace says under a name: a column of any span, else a key of its metadata (a map or its JSON text)."""
    for span in spans:
        if span.get(name) is not None and (name not in ("provider", "model", "model_requested") or span["kind"] == "llm"):
            return span[name]
        told = span.get("metadata")
        told = eval(told) if isinstance(told, str) else told or {}
        if name in told:
            return told[name]
    return None


def start(spans):
    return min(s["start_time"] for s in spans)


@cache
def split(one, *columns):
    """Spans by trace: of the slice before the onset, of the affected, of all others."""
    truth, before, after, others = one.truth, {}, {}, {}
    loose = {k: v for k, v in truth.where.items() if k not in ("prompt_version", "model")}
    if "model" in truth.where:
        loose["model_requested"] = truth.details["requested"]
    for trace, spans in by_trace(one, *columns).items():
        if trace in truth.affected:
            after[trace] = spans
        elif start(spans) < micros(truth.onset) and all(value(spans, k) == v for k, v in loose.items()):
            before[trace] = spans
        else:
            others[trace] = spans
    return before, after, others


def calls(traces):
    return [s for spans in traces.values() for s in spans if s["kind"] == "llm"]


def z_of(one, metric):
    """The oracle's z of any metric, from the ids of the truth."""
    values = measured(metric, one.written)
    before, after, _ = split(one)
    at = {t: i for i, t in enumerate(one.trace_ids)}
    return welch(values[[at[t] for t in after]], values[[at[t] for t in before]])


def judged(one):
    return next(m for m in one.truth.metrics if m.startswith("score:"))


def overall(one):
    """The name of the judge's overall score as a metric."""
    names = Counter(n for n in one.scores["name"].to_pylist() if n in words.JUDGED)
    return f"score:{names.most_common(1)[0][0]}:judge"


class TestDeterminism:
    def test_the_same_seed_gives_the_same_tables_and_another_gives_others(self):
        first, again, other = small(11), case(11, traces=1000), small(12)
        assert first.spans.equals(again.spans)
        assert first.scores.equals(again.scores)
        assert (first.changes, first.prompts, first.truth) == (again.changes, again.prompts, again.truth)
        assert not first.spans.equals(other.spans)

    def test_the_files_are_the_same_too(self, tmp_path):
        one = made(0)
        folders = [one.write(tmp_path / name) for name in "ab"]
        files = [{p.name: p.read_bytes() for p in f.iterdir()} for f in folders]
        assert files[0] == files[1]
        assert {"spans.parquet", "scores.parquet"} <= files[0].keys()
        assert "truth" not in " ".join(files[0])

    def test_seeds_for_tuning_and_for_judging_are_apart(self):
        assert not set(TUNING) & set(JUDGING)

    def test_a_kind_that_is_not_known_is_named(self):
        with pytest.raises(ValueError, match="kind='typo' is not known; choose one of: prompt_text, prompt_version"):
            case(0, kind="typo")

    def test_too_short_a_window_is_refused(self):
        with pytest.raises(ValueError, match="weeks=2 and traces=20000 are too few; give four weeks and 1,000 traces"):
            case(0, weeks=2)

    def test_a_third_of_the_kinds_drawn_are_no_incidents(self):
        from incidents.story import any_kind

        drawn = Counter(any_kind(np.random.default_rng([s, 0])) for s in range(1000))
        assert set(drawn) == set(KINDS)
        assert 0.55 < sum(drawn[k] for k in INCIDENTS) / 1000 < 0.65
        assert 0.15 < drawn[QUIET] / 1000 < 0.25


class TestIngest:
    @pytest.mark.parametrize("seed", [1, 5])
    def test_every_row_is_kept_and_the_slice_is_found_again(self, seed, tmp_path):
        one = case(seed, traces=1000, kind=INCIDENTS[seed])
        obs = lm.load(one.write(tmp_path / "data"), store=tmp_path / "store", threads=1)
        assert obs.query("SELECT count(*) AS n FROM spans")["n"][0].as_py() == one.spans.num_rows
        assert obs.query("SELECT count(*) AS n FROM scores")["n"][0].as_py() == one.scores.num_rows
        assert obs.query("SELECT count(*) AS n FROM quarantine")["n"][0].as_py() == 0
        assert obs.query("SELECT count(*) AS n FROM scores WHERE rater = 'unknown'")["n"][0].as_py() == 0
        assert obs.query("SELECT count(*) AS n FROM payloads WHERE system_prompt IS NULL")["n"][0].as_py() < one.spans.num_rows
        assert obs.query("SELECT count(*) AS n FROM changes")["n"][0].as_py() == len((one.changes or "\n").splitlines()) - 1
        known = set(obs.query("SELECT unnest(map_keys(metadata)) AS k FROM spans")["k"].to_pylist()) | set(lm.schema.SPANS.names)
        assert set(one.truth.where) <= known
        found = set(obs.where(**one.truth.where).query("SELECT DISTINCT trace_id FROM spans")["trace_id"].to_pylist())
        assert set(one.trace_ids[one.select(one.truth.where)]) == found

    def test_older_names_lists_and_maps_as_text_are_among_the_cases(self):
        seen = [small(s) for s in range(24)]
        assert any("parent_span_id" in one.spans.column_names for one in seen)
        assert any("parent_id" in one.spans.column_names for one in seen)
        types = {one.spans.schema.field("metadata").type for one in seen if "metadata" in one.spans.column_names}
        assert types == {pa.string(), pa.map_(pa.string(), pa.string())}
        assert any(one.changes for one in seen) and any(one.changes is None for one in seen)
        assert any(one.prompts for one in seen) and any(one.prompts is None for one in seen)


class TestTruth:
    @pytest.mark.parametrize("kind", INCIDENTS)
    def test_the_affected_are_the_slice_between_onset_and_end(self, kind):
        one, chosen = made(2, kind), set()
        truth = one.truth
        for trace, spans in by_trace(one).items():
            inside = start(spans) >= micros(truth.onset) and (truth.end is None or start(spans) < micros(truth.end))
            if inside and all(value(spans, k) == v for k, v in truth.where.items()):
                chosen.add(trace)
        both, either = len(chosen & truth.affected), len(chosen | truth.affected)
        assert both / either > 0.7
        if not {"lost_spans", "missing_fields"} & truth.decoys.keys() and truth.shape != "ramp":
            assert chosen == truth.affected

    @pytest.mark.parametrize("kind", INCIDENTS)
    def test_the_slice_that_is_true_can_be_found(self, kind):
        one = made(2, kind)
        assert overlap(one, one.truth.where) == pytest.approx(one.truth.reach, abs=1e-3)
        assert one.truth.reach >= 0.7

    @pytest.mark.parametrize("kind", INCIDENTS)
    def test_onset_end_and_shape_are_as_told(self, kind):
        for seed in range(200):
            story = draw_story(np.random.default_rng(seed), kind, 56)
            assert 10 * DAY <= story.onset < 53 * DAY
            assert 1.5 <= story.z <= 25
            assert (story.ramp > 0) == (story.shape == "ramp")
            if story.shape == "burst":
                assert 3 <= (story.end - story.onset) / DAY * 24 <= 30
            if story.ramp:
                assert 7 <= story.ramp / DAY <= 21

    @pytest.mark.parametrize("kind", [*INCIDENTS, *FALSE])
    def test_the_oracle_s_z_is_welch_s(self, kind):
        one = made(2, kind)
        truth, values = one.truth, measured(one.truth.metrics[0], one.written)
        at = {t: i for i, t in enumerate(one.trace_ids)}
        if truth.incident:
            before, after, _ = split(one)
            mine = [values[[at[t] for t in some]] for some in (after, before)]
        else:
            late = one.at >= micros(truth.onset)
            mine = [values[late], values[~late]]
        welch_t = stats.ttest_ind(*mine, equal_var=False, nan_policy="omit").statistic
        # Fields that went missing blur the slice before the onset when it is read off the data.
        assert welch_t == pytest.approx(truth.oracle_z, abs=0.35 if "missing_fields" in truth.decoys else 0.01)
        assert truth.oracle_z == truth.z[truth.metrics[0]]

    def test_strength_comes_out_as_it_was_aimed_at(self):
        aimed = [draw_story(np.random.default_rng([2, STAGES.index("story")]), kind, 56).z for kind in INCIDENTS]
        found = [abs(made(2, kind).truth.oracle_z) for kind in INCIDENTS]
        assert 0.75 < np.median(np.divide(found, aimed)) < 1.2

    def test_metrics_agree_with_a_plain_reading_of_the_rows(self):
        one = made(2, "provider_errors")
        at = {t: i for i, t in enumerate(one.trace_ids)}
        spans = by_trace(one, "finish_reason", "cost_recorded_usd")
        for metric, plain in (
            ("error_rate", lambda s: float(any(x["status"] == "error" for x in s if x["kind"] == "llm"))),
            ("spans_per_trace", lambda s: float(len(s))),
            ("length_rate", lambda s: float(any(x["finish_reason"] == "length" for x in s))),
            ("cost_usd", lambda s: sum(x.get("cost_recorded_usd") or 0 for x in s)),
        ):
            if metric == "cost_usd" and "cost_recorded_usd" not in one.spans.column_names:
                continue
            values = measured(metric, one.written)
            for trace in list(spans)[:300]:
                if any(x["kind"] == "llm" and x["status"] == "ok" for x in spans[trace]) or metric != "cost_usd":
                    assert values[at[trace]] == pytest.approx(plain(spans[trace]), nan_ok=True), metric


class TestFingerprints:
    def test_prompt_text(self):
        before, after, others = split(one := strong("prompt_text"), "system_prompt")
        block = one.truth.details["block"]
        assert all(block in s["system_prompt"] for s in calls(after))
        assert not [s for s in calls(before | others) if block in s["system_prompt"]]
        assert {s["prompt_version"] for s in calls(after)} <= {s["prompt_version"] for s in calls(before | others)}
        assert all(300 < len(s["system_prompt"]) < 2500 for s in calls(after))

    def test_prompt_version(self):
        before, after, others = split(one := strong("prompt_version"))
        mine = (one.truth.details["prompt"], one.truth.details["to"])
        assert {(s["prompt_name"], s["prompt_version"]) for s in calls(after)} == {mine}
        assert mine not in {(s["prompt_name"], s["prompt_version"]) for s in calls(before | others)}
        assert z_of(one, judged(one)) < -STRONG + 1

    def test_model_version(self):
        before, after, _ = split(one := strong("model_version"))
        answered = {s["model"] for s in calls(after)} - {None}
        assert answered == {one.truth.details["to"]}
        assert {s["model_requested"] for s in calls(after)} == {one.truth.details["requested"]}
        assert one.truth.details["to"] not in {s["model"] for s in calls(before)}

    def test_model_behaviour(self):
        before, after, _ = split(one := strong("model_behaviour"), "model_params")
        for column in ("model", "model_params", "prompt_name"):
            assert {s[column] for s in calls(after)} <= {s[column] for s in calls(before)}
        assert z_of(one, judged(one)) < -STRONG + 1

    @pytest.mark.parametrize("what", ["temperature", "examples", "reasoning_effort", "top_k"])
    def test_configuration(self, what):
        one = next(o for s in range(60) if (o := small(s, "configuration")).truth.details["changed"] == what)
        before, after = (calls(some) for some in split(one, "system_prompt", "model_params")[:2])
        if what == "examples":
            assert all("Example" in s["system_prompt"] for s in before)
            assert not [s for s in after if "Example" in s["system_prompt"]]
        elif what == "top_k":
            counts = [
                pc.list_value_length(c).drop_null() for c in (one.spans["retrieval_ids"],) if not pa.types.is_string(c.type)
            ]
            assert all({1} < set(c.to_pylist()) for c in counts)
        else:
            assert all(what in s["model_params"] for s in after)
            assert not {s["model_params"] for s in after} & {s["model_params"] for s in before}

    def test_retrieval(self):
        _, after, _ = split(one := strong("retrieval"), "retrieval_index_version")
        assert z_of(one, "retrieval_top_score") < -3
        assert z_of(one, judged(one)) < -1.5
        versions = {s["retrieval_index_version"] for spans in after.values() for s in spans} - {None}
        assert ("kb-3" in versions) == ("index" in one.truth.details)

    def test_guardrail(self):
        before, after, _ = split(one := strong("guardrail"), "guardrails", "output", "finish_reason")
        policy = f'"dimension": "{one.truth.details["policy"]}"'
        blocks = [spans for spans in after.values() if any(policy in (s["guardrails"] or "") for s in spans)]
        assert len(blocks) >= 0.8 * sum(any('"block"' in (s["guardrails"] or "") for s in spans) for spans in after.values())
        assert not [s for spans in before.values() for s in spans if policy in (s["guardrails"] or "")]
        assert {s["output"] for spans in blocks for s in spans if s["kind"] == "llm" and s["finish_reason"] == "stop"} == {
            words.BLOCKED
        }

    def test_truncation(self):
        _, after, _ = split(one := strong("truncation"), "output", "finish_reason")
        cut = [s for s in calls(after) if s["finish_reason"] == "length"]
        ceiling = one.truth.details["ceiling"]
        assert np.mean([len(s["output"]) == 4 * ceiling for s in cut]) > 0.9
        assert max(len(s["output"] or "") for s in calls(after) if s["finish_reason"] == "stop") <= 4 * ceiling
        assert z_of(one, "length_rate") > 3

    def test_input_mix(self):
        before, after, others = split(one := strong("input_mix"), "input")
        topic = one.truth.details["topic"]
        new = {t for t, spans in after.items() if any(topic in (s["input"] or "") for s in spans)}
        assert 0.05 < len(new) / len(after) < 1
        assert not [s for s in calls(before | others) if topic in s["input"]]
        values = measured(judged(one), one.written)
        at = {t: i for i, t in enumerate(one.trace_ids)}
        old = values[[at[t] for t in after if t not in new]]
        assert abs(welch(old, values[[at[t] for t in before]])) < 3.5

    def test_agent_loop(self):
        before, after, _ = split(strong("agent_loop"), "input")

        def repeated(spans):
            return max(Counter(s["input"] for s in spans if s["kind"] == "tool").values(), default=0)

        assert np.mean([repeated(s) >= 4 for s in after.values()]) > 0.05
        assert np.mean([repeated(s) >= 4 for s in before.values()]) < 0.01

    def test_prompt_cache(self):
        one = strong("prompt_cache")
        assert z_of(one, "cache_read_share") < -4
        assert z_of(one, "cost_usd") > 1.5
        assert z_of(one, "ttft_ms") > 3
        assert abs(z_of(one, overall(one))) < 3.5

    def test_price(self):
        one = strong("price")
        assert z_of(one, "cost_per_token") > STRONG
        before, after, _ = split(one, "tokens_in")
        tokens = [
            np.array([sum(s["tokens_in"] or 0 for s in spans) for spans in some.values()], float) for some in (after, before)
        ]
        assert abs(welch(*tokens)) < 4

    def test_provider_latency(self):
        one = strong("provider_latency")
        assert z_of(one, "ttft_ms") > STRONG - 1
        assert abs(z_of(one, "output_chars")) < 4

    def test_provider_errors(self):
        before, after, _ = split(one := strong("provider_errors"), "error_class", "output")
        classes = Counter(s["error_class"] for s in calls(after) if s["status"] == "error")
        assert classes.most_common(1)[0][0] == one.truth.details["error_class"]
        assert np.mean([s["status"] == "error" for s in calls(before)]) < 0.06
        assert not [s for s in calls(after) if s["status"] == "error" and s["output"] is not None]


class TestFalseIncidents:
    def late(self, one):
        return one.at >= micros(one.truth.onset)

    def test_a_judge_that_changed_moves_every_feature_and_no_user(self):
        one = strong("judge_changed")
        values, late = measured(judged(one), one.written), self.late(one)
        name = next(n for n in one.dims if n == "feature")
        moves = [
            welch(values[late & one.dims[name].holds(f)], values[~late & one.dims[name].holds(f)]) for f in one.dims[name].used()
        ]
        assert all(np.sign(m) == np.sign(one.truth.oracle_z) for m in moves if abs(m) > 1)
        thumbs = next(n for n in set(one.scores["name"].to_pylist()) if n in words.THUMBS)
        users = measured(f"score:{thumbs}:user", one.written)
        assert abs(welch(users[late], users[~late])) < 3

    def test_a_mix_that_changed_leaves_levels_and_moves_shares(self):
        one = strong("traffic_mix_changed")
        values, late = measured(judged(one), one.written), self.late(one)
        dim = next(d for d in one.dims.values() if one.truth.details["grows"] in d.words)
        mine = dim.holds(one.truth.details["grows"])
        assert mine[late].mean() > 1.3 * mine[~late].mean()
        assert abs(welch(values[late & mine], values[~late & mine])) < 3.5
        assert abs(welch(values[late & ~mine], values[~late & ~mine])) < 3.5

    def test_a_sample_that_changed_leaves_traffic_and_users_alone(self):
        one = strong("sampling_changed")
        late, seen = self.late(one), ~np.isnan(measured(judged(one), one.written))
        role, _, word = one.truth.details["group"].partition(" ")
        dims = [d for d in one.dims.values() if word in d.words]
        assert dims, f"the case of {role} {word} is not one of a dimension; take another seed"
        mine = dims[0].holds(word)
        assert abs(mine[late & seen].mean() - mine[~late & seen].mean()) > 0.1
        assert abs(mine[late].mean() - mine[~late].mean()) < 0.05


class TestQuiet:
    SEEDS = range(6)

    def test_no_slice_moves_more_than_chance(self):
        moves = []
        for seed in self.SEEDS:
            one = made(seed, QUIET)
            values, late = measured(overall(one), one.written), one.at >= np.median(one.at)
            for name in ("feature", "locale", "provider", "prompt_name", "user_tier"):
                for word in one.dims[name].used() if name in one.dims else ():
                    some = one.dims[name].holds(word)
                    moves.append(welch(values[late & some], values[~late & some]))
        assert len(moves) > 60
        assert np.mean(np.abs(moves) > 3) < 0.02

    @pytest.mark.parametrize(
        "metric", ["ttft_ms", "output_chars", "length_rate", "error_rate", "retrieval_top_score", "cache_read_share"]
    )
    def test_no_other_metric_moves_either(self, metric):
        moves = []
        for seed in self.SEEDS:
            one = made(seed, QUIET)
            values, late = measured(metric, one.written), one.at >= np.median(one.at)
            moves.append(welch(values[late], values[~late]))
        assert np.median(np.abs(moves)) < 2.5

    def test_nothing_harmful_stands_in_it(self):
        for seed in self.SEEDS:
            one = made(seed, QUIET)
            assert one.truth.verdict == "no_change"
            assert (one.truth.where, one.truth.affected, one.truth.onset, one.truth.oracle_z) == ({}, frozenset(), None, 0.0)
            prompts = pc.drop_null(one.spans["system_prompt"])
            assert not [b for b in words.BLOCKS if pc.any(pc.match_substring(prompts, b)).as_py()]
            assert not [t for t in words.NEW_TOPICS if pc.any(pc.match_substring(pc.drop_null(one.spans["input"]), t)).as_py()]


class TestDecoys:
    def test_all_of_them_occur(self):
        named = Counter(d for s in range(24) for d in small(s).truth.decoys)
        assert named.keys() >= {
            "holiday", "loud_tenant", "growing_tenant", "staging_burst", "missing_fields", "lost_spans", "judge_bump", "canary",
            "benign_block", "model_trial", "index_rebuild", "correlated", "close_change",
        }  # fmt: skip

    def seen(self, decoy):
        return next(one for s in range(24) if decoy in (one := small(s)).truth.decoys)

    def test_a_holiday_is_quiet(self):
        one = self.seen("holiday")
        first = int(one.truth.decoys["holiday"].rsplit(" ", 1)[1])
        days = (one.at - one.at.min()) // DAY
        assert (days == first).sum() < 0.75 * np.median(
            np.bincount(days)[[first - 7, min(first + 7, 55)] if first >= 7 else [first + 7]]
        )

    def test_lost_spans_leave_orphans(self):
        one = self.seen("lost_spans")
        spans = by_trace(one, "span_id", "parent_id")
        ids = {(t, s["span_id"]) for t, some in spans.items() for s in some}
        assert [s for t, some in spans.items() for s in some if s["parent_id"] and (t, s["parent_id"]) not in ids]

    def test_a_benign_block_is_in_the_prompts(self):
        one = self.seen("benign_block")
        text = one.truth.decoys["benign_block"].split("'")[1]
        assert pc.any(pc.match_substring(pc.drop_null(one.spans["system_prompt"]), text)).as_py()


class TestShape:
    def test_products_differ(self):
        ones = [small(s) for s in range(12)]
        assert len({tuple(sorted(one.dims)) for one in ones}) > 8
        assert len({len(one.dims["feature"].used()) for one in ones}) > 2
        assert len({next(n for n in one.scores["name"].to_pylist() if n in words.JUDGED) for one in ones}) > 2

    def test_traces_are_trees_in_time_and_shares_are_as_told(self):
        one = made(4, QUIET)
        for spans in by_trace(one, "parent_id", "end_time").values():
            root = [s for s in spans if s["parent_id"] is None]
            assert len(root) <= 1
            for span in spans if root else ():
                assert root[0]["start_time"] <= span["start_time"] <= span["end_time"] <= root[0]["end_time"]
        raters = Counter(one.scores["rater" if "rater" in one.scores.column_names else "source"].to_pylist())
        assert 0.13 < np.isfinite(measured(overall(one), one.written)).mean() < 0.17
        assert raters["judge"] > raters["user"] > raters["human"] > 0
        days = np.bincount((one.at - one.at.min()) // DAY)
        assert len(days) == 56 and days.min() > 0

    def test_more_traces_have_smaller_effects_at_the_same_strength(self):
        few, many = case(0, traces=2000, kind="price"), case(0, traces=8000, kind="price")
        assert 1.03 < many.truth.details["factor"] < few.truth.details["factor"]


class TestMarks:
    def answer(self, one, **changes):
        """What a perfect analysis would say."""
        truth = one.truth
        out = {"verdict": truth.verdict, "causes": [], "traces": sorted(truth.affected)[:20], "onset": None}
        if truth.incident:
            low, high = truth.onset - timedelta(hours=5), truth.onset + timedelta(hours=5)
            out["onset"] = {"time": truth.onset.isoformat(), "low": low.isoformat(), "high": high.isoformat()}
            out["causes"] = [{"kind": truth.kind, "where": truth.where, "confidence": 0.95}]
        return out | changes

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_perfect_answer_is_all_right(self, kind):
        one = made(2, kind)
        found = mark(one, self.answer(one))
        assert found.all_right
        if one.truth.incident:
            assert (found.slice_in_three, found.covered, found.first, found.sure, found.sure_right) == (True, True, 1.0, 1, 1)

    def test_each_part_can_be_wrong_alone(self):
        one = strong("prompt_text")
        right = self.answer(one)
        cause = right["causes"][0]
        late = {"time": (one.truth.onset + timedelta(days=1.5)).isoformat()}
        assert not mark(one, right | {"onset": late}).onset_right
        assert mark(one, right | {"onset": late}).covered is None
        other = mark(one, right | {"causes": [cause | {"kind": "price"}]})
        assert (other.kind_right, other.slice_right, other.all_right, other.sure_right) == (False, True, False, 0)
        nowhere = mark(one, right | {"causes": [cause | {"where": {"nothing": "x"}}, cause]})
        assert (nowhere.slice_right, nowhere.slice_in_three, nowhere.jaccard) == (False, True, 0.0)
        assert not mark(one, self.answer(one, verdict="not_enough_evidence")).verdict_right
        strangers = sorted(set(one.trace_ids) - one.truth.affected)[:20]
        assert mark(one, right | {"traces": strangers}).first == 0.0

    def test_a_ramp_may_be_dated_four_days_off(self):
        one = next(o for s in range(60) if (o := small(s, "model_behaviour")).truth.shape == "ramp")
        right = self.answer(one)
        for days, fine in ((3.5, True), (4.5, False)):
            time = {"time": (one.truth.onset + timedelta(days=days)).isoformat()}
            assert mark(one, right | {"onset": time}).onset_right is fine

    def test_a_quiet_case_may_lack_evidence_but_is_no_incident(self):
        one = made(0, QUIET)
        assert mark(one, {"verdict": "not_enough_evidence"}).all_right
        assert not mark(one, {"verdict": "incident", "causes": []}).all_right

    def test_an_analysis_that_raises_is_wrong_and_counted(self):
        found = failed(made(2, "price"), "ValueError: no", 0.5)
        assert (found.all_right, found.said, found.error) == (False, None, "ValueError: no")

    def test_strength_has_three_classes(self):
        found = failed(made(2, "price"), "x", 0.0)
        assert [replace(found, z=z).strength for z in (-2.9, 3.0, -5.0)] == ["<3", "3-5", ">=5"]


class TestTables:
    @pytest.fixture
    def bench(self):
        path = Path(__file__).with_name("benchmarks") / "incidents.py"
        spec = spec_from_file_location("incidents_bench", path)
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def test_an_interval_of_a_count_is_exact(self, bench):
        # Clopper and Pearson: none of 10 leaves 1 - 0.025 ** (1 / 10).
        assert bench.exact(0, 10) == "0 of 10: 0.000 [0.000, 0.308]"
        assert bench.exact(10, 10).endswith("[0.692, 1.000]")
        assert bench.exact(0, 0) == "0 of 0"

    def test_the_tables_count_by_kind_and_strength(self, bench, capsys):
        base = failed(made(2, "price"), None, 1.0)
        right = {"verdict_right": True, "onset_right": True, "slice_right": True, "slice_in_three": True, "kind_right": True}
        found = {"said": "incident", "said_kind": "price", "first": 1.0, "sure": 1, "covered": True, "width_days": 2.0}
        good = replace(base, z=9.0, sure_right=1, **right, **found)
        quiet = replace(base, kind=QUIET, verdict="no_change", z=0.0, said="incident")
        judge = replace(base, kind="judge_changed", verdict="judge_changed", z=6.0, said="judge_changed", verdict_right=True)
        bench.report([good, replace(good, kind_right=False, said_kind="prompt_cache", sure_right=0), quiet, judge])
        out = " ".join(capsys.readouterr().out.split())
        assert ">=5 2 1/2 0.50 2/2 1.00 2/2 1.00 2/2 1.00 2/2 1.00 1/2 0.50" in out
        assert "quiet called an incident: 1 of 1: 1.000" in out
        assert "judge_changed 1 0/1 0.00 1/1 1.00 1/1 1.00" in out
        assert "causes with confidence >= .9 that are right: 1 of 2: 0.500" in out
        assert "1 price: incident, prompt_cache" in out


def test_every_metric_can_be_read_off_any_case():
    one = made(1, "price")
    for name in METRICS:
        assert np.isfinite(measured(name, one.written)).any()
