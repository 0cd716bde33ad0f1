"""Alert rules are checked when they are read: what is not understood is refused in one line with the choices."""

import datetime as dt

import pytest
from alertkit import rule

from llmobs_nb.analyses.alerts import names, preset, read_rules
from llmobs_nb.errors import InputError, UsageError

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


def read(**more):
    (one,) = read_rules(rule(**more))
    return one


def test_a_rule_is_read_with_its_defaults():
    one = read()
    assert (one.name, one.metric, one.window, one.hold, one.severity, one.no_data) == (
        "errors",
        "error_rate",
        DAY,
        0 * DAY,
        "warning",
        "ok",
    )
    assert (one.compare.kind, one.compare.amount, one.least, one.width, one.step) == ("above", 0.1, 1, HOUR, DAY)


def test_every_key_of_the_contract_is_read():
    one = read(
        window="6h", where={"feature": ["f0", None], "beta": True}, by=["feature", "user_id"], severity="critical", min_n=20, cooldown="2d",
        no_data="warn", owner="sre", runbook="Look.", route=["stdout", {"slack": {"url_env": "HOOK"}}], **{"for": "2h"},
    )  # fmt: skip
    assert (one.window, one.hold, one.step, one.cooldown, one.least) == (6 * HOUR, 2 * HOUR, HOUR, 2 * DAY, 20)
    assert one.where == (("feature", ("f0", None)), ("beta", ("true",)))
    assert (one.by, one.owner, one.runbook, [r.name for r in one.routes]) == (
        ("feature", "user_id"),
        "sre",
        "Look.",
        ["stdout", "slack:HOOK"],
    )


@pytest.mark.parametrize(
    ("compare", "kind", "amount", "relative"),
    [
        ({"drop": 0.05}, "drop", 0.05, False), ({"drop": "10 %"}, "drop", 0.1, True), ({"rise": "3x"}, "rise", 2.0, True),
        ({"rise": "50%", "baseline": "7d"}, "rise", 0.5, True), ({"below": 0.7}, "below", 0.7, False), ({"anomaly": 4}, "anomaly", 4.0, False),
        ({"burn_rate": 6}, "burn_rate", 6.0, False),
    ],
)  # fmt: skip
def test_comparisons_are_read(compare, kind, amount, relative):
    c = read(compare=compare).compare
    assert (c.kind, c.relative) == (kind, relative)
    assert c.amount == pytest.approx(amount)


def test_a_baseline_in_weeks_is_the_same_weekday_and_one_in_days_lies_before():
    weeks, days = (read(compare={"drop": 0.1, "baseline": b}).compare.baseline for b in ("4w", "7d"))
    assert (weeks.weeks, weeks.reach) == (4, 28 * DAY)
    assert (days.weeks, days.length) == (0, 7 * DAY)
    pinned = read(compare={"drop": 0.1, "baseline": {"pinned": [dt.date(2026, 10, 1), "2026-10-08"]}}).compare.baseline.pinned
    assert pinned[1] - pinned[0] == 7 * DAY


def test_short_windows_of_a_burn_rate_are_cut_into_five_minutes():
    one = read(compare={"burn_rate": {"factor": 14.4, "budget": "0.1%", "long": "1h", "short": "5m"}})
    assert (one.width, one.window, one.compare.budget) == (dt.timedelta(minutes=5), HOUR, 0.001)


WRONG = [
    ({"severity": "fatal"}, r"rule 'errors': severity='fatal' is not known; choose one of: info, warning, critical"),
    ({"nodata": "ok"}, r"rule 1: key='nodata' is not known; choose one of: name, preset, metric, .*no_data"),
    ({"no_data": "alert"}, r"rule 'errors': no_data='alert' is not known; choose one of: ok, warn, firing"),
    ({"metric": "errors"}, r"rule 'errors': metric='errors' is not known; choose one of: error_rate, .*score:NAME:RATER"),
    ({"window": "a day"}, r"rule 'errors': window='a day' is no length of time; write it as 30m, 24h, 7d or 4w"),
    ({"window": "0h"}, r"window='0h' is no length of time"),
    ({"window": "7m"}, r"rule 'errors': 0:07:00 is no multiple of 5 minutes; give such as 5m, 30m or 1h"),
    ({"window": "500d"}, r"rule 'errors' reaches \d+ days back; give windows and a baseline of less than 400 days"),
    ({"for": 3}, r"rule 'errors': for=.* is no length of time"),
    ({"min_n": -1}, r"rule 'errors': min_n='-1' is no number; give one from 0 on"),
    ({"min_n": True}, r"min_n='True' is no number"),
    ({"name": ""}, r"rule 1: name='' is no text; give one of at most 2,000 characters"),
    ({"owner": 5}, r"rule 'errors': owner='5' is no text"),
    ({"by": ["a", "b", "c"]}, r"by=.* is no dimension; give one name or two, such as feature or \[feature, tenant_id\]"),
    ({"where": "feature=f0"}, r"where='feature=f0' is no filter; give such as \{feature: support\}"),
    ({"where": {"feature": {"a": 1}}}, r"where: feature=.* is no value; give a text, a number, null or a list of them"),
    ({"compare": 0.1}, r"compare='0.1' is no mapping; give one with keys among: above, below, drop, rise, burn_rate, anomaly"),
    ({"compare": {}}, r"compare names 0 comparisons; give exactly one of: above"),
    ({"compare": {"above": 1, "below": 0}}, r"compare names 2 comparisons"),
    ({"compare": {"over": 1}}, r"compare: key='over' is not known; choose one of: above"),
    ({"compare": {"above": "high"}}, r"compare: above='high' is no number; give one"),
    ({"compare": {"above": float("nan")}}, r"compare: above='nan' is no number"),
    ({"compare": {"above": 1, "baseline": "7d"}}, r"compare: above has no baseline; remove it, or compare by drop, rise or anomaly"),
    ({"compare": {"drop": 0}}, r"drop=0 would always hold; give an amount \(0.05\), a share \(10%\)"),
    ({"compare": {"rise": "1x"}}, r"rise='1x' is no rise; give more than 1x"),
    ({"compare": {"drop": 0.1, "baseline": "pinned"}}, r"baseline=pinned names no window; write \{pinned: \[2026-10-01, 2026-10-29\]\}"),
    ({"compare": {"drop": 0.1, "baseline": {"pinned": ["2026-10-08", "2026-10-01"]}}}, r"pinned starts at 2026-10-08 and ends at 2026-10-01; swap them"),
    ({"compare": {"drop": 0.1, "baseline": {"pinned": "2026-10-08"}}}, r"pinned='2026-10-08' is no window; give \[start, end\] as ISO dates"),
    ({"compare": {"burn_rate": {"factor": 2, "short": "2h"}}}, r"short=2h is not shorter than long=1h; swap them"),
    ({"compare": {"burn_rate": {"budget": 0}}}, r"budget='0' is no number; give one from 1e-06 to 1"),
    ({"compare": {"burn_rate": {"bad_above": 1, "bad_below": 1}}}, r"burn_rate has bad_above and bad_below; give one of them"),
    ({"compare": {"burn_rate": {"bad_above": 1}}}, r"error_rate counts bad events already; remove bad_above"),
    ({"metric": "latency_ms", "compare": {"burn_rate": 2}}, r"a burn rate counts bad events, latency_ms is none; give bad_above or bad_below"),
    ({"compare": {"anomaly": {"looks": [0]}}}, r"looks=.* are no days; give a list such as \[1, 3, 7, 14\], 28 at most"),
    ({"compare": {"anomaly": {"side": "bad"}}}, r"anomaly: side='bad' is not known; choose one of: worse, up, down, both"),
    ({"compare": {"anomaly": {"p": 0.05}}}, r"anomaly: method robust takes z; write z: 4"),
    ({"compare": {"anomaly": 4, "baseline": {"pinned": ["2026-10-01", "2026-10-08"]}}}, r"learns from the days before, not from a pinned window"),
    ({"compare": {"anomaly": 4}, "window": "7d"}, r"an anomaly looks at windows of a day or less; set looks"),
    ({"metric": "users", "compare": {"anomaly": 4}}, r"users has no anomaly by method robust; compare it by rise, drop, above or below"),
    ({"metric": "new_error_class", "by": "feature"}, r"new_error_class is an event; it takes no by"),
    ({"compare": {"above": 1, "allowed": ["m"]}}, r"compare: allowed goes with the metric unexpected_model; remove it from error_rate"),
    ({"compare": {"above": 1, "allowed": "m"}}, r"allowed='m' is no list of names"),
    ({"route": "carrier pigeon"}, r"rule 'errors': route='carrier pigeon' is not known; choose one of: stdout, json, slack, pagerduty, webhook, smtp"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "told"), WRONG, ids=range(len(WRONG)))
def test_what_is_not_understood_is_refused_with_the_choices(more, told):
    with pytest.raises(UsageError, match=told) as raised:
        read(**more)
    assert "\n" not in str(raised.value)


def test_a_rule_without_metric_or_compare_is_refused():
    with pytest.raises(UsageError, match=r"rule 'a' has no metric; a rule needs name, metric and compare"):
        read_rules([{"name": "a", "compare": {"above": 1}}])
    with pytest.raises(UsageError, match=r"rule 'a' has no compare"):
        read_rules({"name": "a", "metric": "requests"})


def test_the_same_name_twice_is_refused():
    with pytest.raises(UsageError, match=r"rule 'errors' stands twice; give each rule a name of its own"):
        read_rules([rule(), rule()])


@pytest.mark.parametrize("empty", [[], {}, 5])
def test_no_rule_at_all_is_refused(empty):
    with pytest.raises(UsageError, match=r"hold no rule; give a YAML file, a list of rules or one of: default, events, seeds"):
        read_rules(empty)


def test_a_file_holds_a_list_or_rules_beside_presets(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text("- {name: a, metric: requests, compare: {below: 10}, window: 1h}\n", encoding="utf-8")
    assert [r.name for r in read_rules(path)] == ["a"]
    path.write_text(
        "presets: [events]\nrules:\n- {preset: seed_hourly_budget, compare: {above: 2}, owner: us}\n", encoding="utf-8"
    )
    first, *events = read_rules(str(path))
    assert (first.name, first.compare.amount, first.owner, first.severity) == ("seed_hourly_budget", 2.0, "us", "critical")
    assert [r.name for r in events] == ["prompt_changed", "unexpected_model", "new_error_class"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [", r"rules .* are no YAML: .*; write a list of rules"),
        ("rules: {a: 1}", r"rules=.* is no list; write one item a line, each after a dash"),
        ("presets: [nothing]", r"presets='nothing' is not known; choose one of: default"),
        ("- {preset: nothing}", r"preset='nothing' is not known; choose one of: judge_score"),
        ("- 5", r"rule 1='5' is no mapping"),
        ("!!python/object/apply:os.getcwd []", r"are no YAML"),
    ],
)
def test_a_file_that_is_no_rules_is_refused(tmp_path, text, told):
    path = tmp_path / "rules.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=told):
        read_rules(path)


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"rules '.*gone.yaml' cannot be read: No such file or directory; give a YAML file"):
        read_rules(tmp_path / "gone.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"\xff\xfe\xe9")
    with pytest.raises(InputError, match="it is not UTF-8"):
        read_rules(tmp_path / "latin.yaml")
    with pytest.raises(
        UsageError, match=r"rules='defautl' is not known; choose one of: default, events, seeds, .*or a YAML file"
    ):
        read_rules("defautl")


def test_every_preset_has_what_somebody_woken_at_night_needs():
    rules = [one for name in names() for one in read_rules(name)]
    assert len({r.name for r in rules}) == 25
    for one in rules:
        assert one.severity and one.owner, one.name
        assert one.runbook.endswith(".") and one.note.endswith("."), one.name


def test_seed_rules_are_never_part_of_the_default():
    assert not [r.name for r in read_rules() if r.name.startswith("seed")]
    assert all(r.compare.kind == "anomaly" and r.compare.method == "robust" for r in read_rules("default"))
    assert preset("seed_cost_z")["compare"]["anomaly"]["z"] == 2.5
