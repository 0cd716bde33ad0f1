"""Kill at random instants: after each kill the store is as some finished step left it, in all tables at once."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time

import duckdb
import killwriter
import pytest

STEPS_PER_LIFE = 5


@pytest.fixture
def writer(tmp_path):
    """The process that forks the writers."""
    script = os.path.join(os.path.dirname(__file__), "killwriter.py")
    process = subprocess.Popen([sys.executable, script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    yield process
    process.stdin.close()
    process.stdout.close()
    process.kill()
    process.wait()


def _done(folder) -> int:
    try:
        return int((folder / "done").read_text())
    except FileNotFoundError:
        return -1


def _step_of(found: dict, least: int) -> int:
    """The step after which the store would hold this; fails where there is none from ``least`` on."""
    for number in range(least, min(least + 12, killwriter.STEPS)):
        if killwriter.expected(number) == found:
            return number
    nearest = killwriter.expected(least + 1)
    pytest.fail(
        f"a state that no step leaves, after step {least}: { ({k: (found[k], nearest[k]) for k in found if found[k] != nearest[k]}) }"
    )


def _read(root: str) -> dict:
    """What a reader sees beside a writer; an erasure may pull the files from under it once."""
    for _ in range(5):
        try:
            return killwriter.held(root)
        except duckdb.IOException:
            continue
    pytest.fail("five reads in a row met missing files")


def test_killed_at_any_instant_the_store_is_as_a_finished_step_left_it(tmp_path, writer):
    root = str(tmp_path / "store")
    luck = random.Random(20260105)
    reached, kills, reads, pace = -1, 0, 0, 0.5
    while reached < killwriter.STEPS - 1:
        writer.stdin.write(f"{reached + 1}\n")
        writer.stdin.flush()
        pid = int(writer.stdout.readline())
        born = time.monotonic()
        until = born + luck.uniform(0.02, STEPS_PER_LIFE * pace)
        if luck.random() < 0.3:
            acknowledged = _done(tmp_path)
            assert _step_of(_read(root), acknowledged) >= acknowledged
            reads += 1
        time.sleep(max(0.0, until - time.monotonic()))
        with contextlib.suppress(ProcessLookupError):  # the last writer may have ended by itself
            os.kill(pid, signal.SIGKILL)
        assert writer.stdout.readline() == "ended\n"
        lived = time.monotonic() - born
        kills += 1
        acknowledged = _done(tmp_path)
        before, reached = reached, _step_of(killwriter.held(root), acknowledged)
        assert reached <= acknowledged + 1, "more was done than one step that nobody acknowledged"
        pace += 0.3 * (lived / (reached - before + 0.5) - pace)  # seconds a step takes on this machine now
    assert killwriter.held(root) == killwriter.expected(killwriter.STEPS - 1)
    assert kills >= killwriter.STEPS // 6
    print(f"{killwriter.STEPS} steps, {kills} kills, {reads} reads beside a writer")
