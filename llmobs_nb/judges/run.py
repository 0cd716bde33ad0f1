"""Many judgements: with a cache, some workers, progress, and an end that loses nothing. A judge that fails stops no other judgement."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ..errors import InterruptError, LlmobsError
from ..sources.transport.clock import Stopped
from ..text import terminal
from .cache import Cache, key_of
from .client import Unanswered
from .prompts import Prompt
from .replies import Judgement, read

TRIES = 2  # a reply that cannot be read is asked for once more


@dataclass(frozen=True)
class Asked:
    """One judgement to be made: its prompt, and which repeat it is."""

    prompt: Prompt
    repeat: int = 0


def judge_all(
    asked: Sequence[Asked],
    judge: Callable[[Prompt], Any],
    *,
    cache: Cache | None = None,
    workers: int = 4,
    progress: Callable[[str], None] | None = None,
) -> list[Judgement]:
    """The judgements in the order they were asked for; those in the cache are not made again.

    The cache serves judges that have an ``identity`` (a mapping or a text: all that their scores depend on beside the prompt).

    Raises what no judgement can do without (a key that is refused, an address that nobody answers at), and InterruptError when
    stopped; what was judged until then is in the cache, so that the same run goes on where it stood.
    """
    cache = cache if identity_of(judge) is not None else None
    out: list[Judgement | None] = [None] * len(asked)
    done, todo = 0, iter(enumerate(asked))
    with ThreadPoolExecutor(max_workers=max(workers, 1)) as pool:
        waiting: dict[Future, int] = {}
        stop = threading.Event()
        try:
            while _fill(pool, waiting, todo, judge, cache, stop, 2 * max(workers, 1)):
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    out[waiting.pop(future)] = future.result()
                    done += 1
                    if progress:
                        progress(f"judge: {done:,} of {len(asked):,}")
        except (KeyboardInterrupt, Stopped):
            _end(waiting, stop, judge)
            kept = "; run the same again, what was judged is kept" if cache else ""
            raise InterruptError(f"stopped after {done:,} of {len(asked):,} judgements{kept}") from None
        except BaseException:
            _end(waiting, stop, judge)
            raise
    return [one for one in out if one is not None]


def identity_of(judge: Any) -> Any:
    """What tells a judge from others; None for a callable that does not say: its judgements cannot be kept."""
    named = getattr(judge, "identity", None)
    return sorted(named.items()) if isinstance(named, Mapping) else named


def _fill(pool, waiting: dict[Future, int], todo: Iterator, judge, cache, stop: threading.Event, most: int) -> bool:
    """Keep a few judgements under way; False when none is left."""
    for at, one in islice(todo, most - len(waiting)):
        waiting[pool.submit(_one, one, judge, cache, stop)] = at
    return bool(waiting)


def _end(waiting: dict[Future, int], stop: threading.Event, judge: Any) -> None:
    stop.set()
    for future in waiting:
        future.cancel()
    close = getattr(judge, "close", None)
    if close:
        close()


def _one(one: Asked, judge, cache: Cache | None, stop: threading.Event) -> Judgement:
    key = key_of(identity_of(judge), one.prompt.version, one.prompt, one.repeat)
    found = cache.get(key) if cache else None
    if found:
        return found
    made, spent = Judgement("failed", reason="stopped"), [0, 0]
    for _ in range(TRIES):
        if stop.is_set():
            break
        made = _asked(one.prompt, judge)
        spent = [spent[0] + made.tokens_in, spent[1] + made.tokens_out]
        if made.word in ("scored", "failed"):
            break
    made = Judgement(**{**vars(made), "tokens_in": spent[0], "tokens_out": spent[1]})
    if cache:
        cache.put(key, made)
    return made


def _asked(prompt: Prompt, judge) -> Judgement:
    try:
        return read(judge(prompt), prompt)
    except (LlmobsError, Stopped):
        raise
    except Unanswered as error:
        return Judgement("failed", reason=str(error))
    except Exception as error:  # a user's own judge may raise anything
        return Judgement("failed", reason=terminal(f"{type(error).__name__}: {error}", 200))
