"""Fixtures that several test files share."""

import os
from pathlib import Path

import pytest

# Several workers share few cores: threads of the linear algebra would wait for each other. Before numpy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Files of minutes begin first, so that no worker is left alone with one of them.
LONG = (
    "test_store_kill",
    "test_incident",
    "test_views_incident",
    "test_ingest_properties",
    "test_ingest_damage",
    "test_pull",
    "test_store",
    "test_reports",
)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real exports beside the repository; tests that need it are skipped where it is absent."""
    folder = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real exports of ../shared/data are not here")
    return folder


@pytest.fixture
def root(tmp_path) -> str:
    """Where a store may be made."""
    return str(tmp_path / "store")


@pytest.fixture
def quick(request, monkeypatch):
    """Charts are drawn, but only the test that looks at their picture waits for it."""
    from llmobs_nb.views import bundle

    if "picture" not in request.node.name:
        monkeypatch.setattr(bundle, "png", lambda figure: b"")
