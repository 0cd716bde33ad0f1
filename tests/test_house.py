"""The house: rooms import downward only, the door is lazy, the top level holds what the design names."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "llmobs_nb"
ROOMS = {
    **dict.fromkeys(("errors", "units", "windows", "text"), 0),
    "stats": 1,
    **dict.fromkeys(("schema", "columns", "html"), 2),
    **dict.fromkeys(("sources", "routes", "judges"), 3),
    **dict.fromkeys(("store", "engine", "ingest", "prices", "observations", "status", "completeness", "dimensions"), 4),
    **dict.fromkeys(("demodata", "pulling", "writeback"), 4),
    "analyses": 5,
    "views": 6,
    **dict.fromkeys(("reports", "cli", "commands", "__main__", "__init__"), 7),
}
MODULES = sorted(p for p in PACKAGE.rglob("*.py"))


def room_of(dotted: str) -> int:
    return ROOMS[dotted.split(".")[0]]


def imported(path: Path) -> set[str]:
    """The modules of this package that a file imports, as dotted names below it."""
    package = path.relative_to(PACKAGE).parent.parts
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            inner = [*base, *(node.module.split(".") if node.module else [])]
            found |= {".".join([*inner, a.name]) for a in node.names} if not inner else {".".join(inner)}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("llmobs_nb."):
            found.add(node.module.removeprefix("llmobs_nb."))
        elif isinstance(node, ast.Import):
            found |= {a.name.removeprefix("llmobs_nb.") for a in node.names if a.name.startswith("llmobs_nb.")}
    return {f for f in found if f and f.split(".")[0] != "__version__"}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_file_imports_only_from_lower_rooms_or_its_own(path):
    name = path.relative_to(PACKAGE).with_suffix("").parts[0]
    assert name in ROOMS, f"{name} has no room: say in tests/test_house.py where it lives"
    climbs = [m for m in imported(path) if room_of(m) > ROOMS[name]]
    assert not climbs


def test_the_room_test_sees_an_import_that_climbs(tmp_path, monkeypatch):
    (tmp_path / "stats").mkdir()
    bad = tmp_path / "stats" / "bad.py"
    bad.write_text("from ..views.theme import x\nfrom .. import cli\n")
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    assert {room_of(m) for m in imported(bad)} == {6, 7}


def test_no_drawing_in_analyses_and_no_engine_in_statistics():
    for room, banned in (
        ("analyses", {"matplotlib", "seaborn", "ipywidgets"}),
        ("stats", {"duckdb", "pandas", "pyarrow", "matplotlib"}),
    ):
        for path in (PACKAGE / room).rglob("*.py"):
            words = {
                (n.module or "").split(".")[0] if isinstance(n, ast.ImportFrom) else n.names[0].name.split(".")[0]
                for n in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                if isinstance(n, (ast.Import, ast.ImportFrom))
            }
            assert not words & banned, path


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout.strip()


def test_importing_the_package_loads_nothing_heavy():
    heavy = "pandas numpy pyarrow matplotlib seaborn scipy duckdb deltalake ipywidgets langfuse langsmith papermill sqlglot genai_prices py3langid"
    code = f"import sys, llmobs_nb; print(sorted(set('{heavy}'.split()) & set(sys.modules)))"
    assert run(code) == "[]"


def test_the_door_gives_every_name_it_lists():
    assert run("import llmobs_nb as lm; print(all(getattr(lm, n) is not None for n in lm.__all__))") == "True"


def test_an_unknown_name_at_the_door_is_an_attribute_error():
    import llmobs_nb as lm

    with pytest.raises(AttributeError, match=r"no attribute 'opne'; it has: Column"):
        lm.opne  # noqa: B018


def test_the_top_level_holds_what_the_design_names():
    found = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT)
    if found.returncode:
        pytest.skip("not a git checkout")
    allowed = {"pyproject.toml", "README.md", "llmobs_nb", "notebooks", "tests", "data", "LICENSE", "constraints.txt"}
    top = {f.split("/")[0] for f in found.stdout.split() if not f.startswith(".")}
    assert top <= allowed


def test_ci_calls_the_readme_s_test_command():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(readme.splitlines()) <= 150
    commands = [c for c in readme.splitlines() if c.startswith("python3 -m venv")]
    assert len(commands) == 2
    assert commands[0].endswith("llmobs demo")
    assert commands[1].endswith("-m pytest")
    for command in commands:
        assert f"```bash\n{command}\n```" in readme


def test_notebooks_hold_no_outputs_and_declare_their_parameters():
    import nbformat

    books = sorted((ROOT / "notebooks").glob("*.ipynb"))
    assert books
    for path in books:
        book = nbformat.read(path, as_version=4)
        code = [c for c in book.cells if c.cell_type == "code"]
        assert not any(c.outputs or c.execution_count for c in code), path.name
        assert sum("parameters" in c.metadata.get("tags", []) for c in code) == 1, path.name


def test_nothing_committed_names_a_registry_or_a_path_of_this_machine():
    found = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT)
    if found.returncode:
        pytest.skip("not a git checkout")
    banned = (
        "pypi" + ".org",
        "pythonhosted" + ".org",
        "npmjs" + ".org",
        "/root/" + ".pyenv",
        "/work/" + "main",
        "/work/" + "venv",
    )
    for name in found.stdout.split():
        path = ROOT / name
        if path.suffix in (".py", ".md", ".toml", ".txt", ".ipynb", ".yaml", ".json", ".js", ".j2", "") and path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            assert not [b for b in banned if b in text], name


def test_the_door_s_functions_are_not_hidden_by_a_module_of_their_name():
    import llmobs_nb as lm

    modules = {p.stem if p.is_file() else p.name for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file()}
    assert not {n for n in lm.__all__ if n in modules and callable(getattr(lm, n))}


def test_no_name_of_the_views_is_also_a_module_of_theirs():
    """Importing the module would put it in the place of the name."""
    from llmobs_nb import views

    modules = {path.stem for path in Path(views.__file__).parent.glob("*.py")}
    assert not modules & set(views.__all__)
