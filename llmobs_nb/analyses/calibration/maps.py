"""Maps from a judge's score to the probability that humans pass the answer: kept in a file, and applied elsewhere."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import special

from ...errors import InputError, UsageError, choose

KINDS = ("isotonic", "platt")
FORMAT = "llmobs_nb score map 1"


def apply_map(map: Mapping[str, Any], scores) -> np.ndarray:
    """The probability that humans pass, per score; NaN stays NaN, and beyond the scores it was fitted on an isotonic map is flat."""
    scores = np.asarray(scores, float)
    if choose("map kind", map.get("kind"), KINDS) == "platt":
        return special.expit(map["intercept"] + map["slope"] * scores)
    return np.interp(scores, map["scores"], map["probabilities"])


def map_sql(map: Mapping[str, Any], value: str = "value") -> str:
    """:func:`apply_map` as SQL over a column of scores."""
    if map["kind"] == "platt":
        return f"(1e0 / (1e0 + exp(-({map['intercept']!r} + {map['slope']!r} * {value}))))"
    knots = list(zip(map["scores"], map["probabilities"], strict=True))
    steps = [f"WHEN {value} <= {knots[0][0]!r} THEN {knots[0][1]!r}"]
    for (a, p), (b, q) in pairwise(knots):
        steps.append(f"WHEN {value} <= {b!r} THEN {p!r} + ({value} - {a!r}) * {(q - p) / (b - a)!r}")
    return f"CASE {' '.join(steps)} WHEN {value} IS NOT NULL THEN {knots[-1][1]!r} END"


def save_map(result, path: str | os.PathLike, *, kind: str | None = None) -> dict:
    """Write a map of a calibration to a file as JSON, and give it back; by default the one with the smaller cross-fitted error.

    Raises UsageError where the calibration has none, InputError where the file cannot be written.
    """
    if not result.maps:
        raise UsageError(
            "this calibration has no maps of scores; it takes scores with more than two values and 10 labelled clusters"
        )
    kind = kind or min(result.maps, key=lambda name: result.maps[name]["brier"])
    names = {"score": result.judge_name, "human": result.human_name}
    chosen = {"format": FORMAT, **names, **result.maps[choose("kind", kind, result.maps)]}
    beside = f"{os.fspath(path)}.part"
    try:
        with open(beside, "w", encoding="utf-8") as out:
            json.dump(chosen, out, indent=1, allow_nan=False)
        os.replace(beside, path)
    except OSError as error:
        raise InputError(f"file {os.fspath(path)!r} cannot be written: {error.strerror or error}; choose another") from None
    return chosen


def load_map(path: str | os.PathLike) -> dict:
    """The map in a file that ``save_map`` wrote. Raises InputError for any other file."""
    try:
        with open(path, encoding="utf-8") as text:
            found = json.load(text)
    except OSError as error:
        raise InputError(f"file {os.fspath(path)!r} cannot be read: {error.strerror or error}; write one with save_map") from None
    except ValueError:
        found = None
    if not _fits(found):
        raise InputError(f"file {os.fspath(path)!r} is no map of scores; write one with save_map(lm.calibrate(obs), path)")
    return found


def _fits(map: Any) -> bool:
    if not isinstance(map, dict) or map.get("format") != FORMAT:
        return False
    if map.get("kind") == "platt":
        return all(isinstance(map.get(k), (int, float)) for k in ("intercept", "slope"))
    knots = [map.get(k) for k in ("scores", "probabilities")]
    if map.get("kind") != "isotonic" or not all(isinstance(k, list) and k for k in knots) or len(knots[0]) != len(knots[1]):
        return False
    return all(isinstance(v, (int, float)) for k in knots for v in k) and bool((np.diff(knots[0]) > 0).all())
