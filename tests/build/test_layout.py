"""The house itself: which room may know which, and what is shipped."""

from __future__ import annotations

import ast
import sys
import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "cubragg"

#: Rooms from the one that may import every other to those that import none. The order has no ties.
ORDER = ("cli", "testing", "torch", "dataset", "parity", "run", "compare", "view", "io", "reflections", "engine",
         "detect", "background", "plan", "device", "experiment", "nanobragg", "crystallography", "philox", "units",
         "version", "errors")
HEIGHT = {room: len(ORDER) - place for place, room in enumerate(ORDER)}


def room_of(path: Path) -> str | None:
    """The room of a module of the package; None for modules of the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0] if parts[0] in HEIGHT else None


def imported_names(path: Path) -> set[str]:
    """What a module imports, with dots, at any depth of its code and for types only as well."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def imported_rooms(path: Path) -> set[str]:
    """Rooms that a module imports."""
    return {name.split(".")[1] for name in imported_names(path) if name.startswith("cubragg.")} & set(HEIGHT)


MODULES = sorted(PACKAGE.rglob("*.py"))


def upward_imports(path: Path) -> list[str]:
    """Rooms that a module must not import."""
    room = room_of(path)
    if room is None:
        return []
    return [f"{path}: {room} imports {other}" for other in imported_rooms(path) if HEIGHT[other] > HEIGHT[room]]


def test_imports_go_down_only():
    assert [edge for path in MODULES for edge in upward_imports(path)] == []


def test_the_import_test_sees_an_upward_edge(tmp_path, monkeypatch):
    planted = tmp_path / "experiment" / "bad.py"
    planted.parent.mkdir()
    planted.write_text("def f():\n    from cubragg.cli import main\n")
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    edge, = upward_imports(planted)
    assert edge.endswith("experiment imports cli")


def imported_modules(folder: Path) -> dict[str, set[str]]:
    """The modules below ``folder``/cubragg that each of them imports."""
    files = {".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__"): path
             for path in (folder / "cubragg").rglob("*.py")}
    graph = {}
    for module, path in files.items():
        names = imported_names(path)
        graph[module] = {name if name in files else name.rpartition(".")[0] for name in names} & set(files) - {module}
    return graph


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules each of which is imported by the next, back to the first; empty if there is no circle."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_modules_import_each_other():
    assert circle(imported_modules(ROOT)) == []


def test_circles_are_found(tmp_path):
    """One of three modules, closed by an import of a package inside a function."""
    (tmp_path / "cubragg" / "room").mkdir(parents=True)
    for name, text in (("room/__init__", "from cubragg.room.a import x"), ("room/a", "import cubragg.b"),
                       ("b", "def f():\n    from cubragg.room import x"), ("c", "import cubragg.b")):
        (tmp_path / "cubragg" / f"{name}.py").write_text(text)
    assert set(circle(imported_modules(tmp_path))) == {"cubragg.room", "cubragg.room.a", "cubragg.b"}


def test_one_module_imports_cupy():
    for path in MODULES:
        if path.name == "cuda_device.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else (
                [node.module or ""] if isinstance(node, ast.ImportFrom) else [])
            assert not any(name.split(".")[0] == "cupy" for name in names), path


def test_every_package_folder_is_shipped():
    with open(ROOT / "pyproject.toml", "rb") as file:
        listed = set(tomllib.load(file)["tool"]["setuptools"]["packages"])
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py")}
    assert listed == folders | {"cubragg.kernels"}


def test_every_source_of_kernels_is_shipped():
    """A kernel that is not in the wheel compiles in a checkout only."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        shipped = tomllib.load(file)["tool"]["setuptools"]["package-data"]
    sources = [path for folder in (PACKAGE, ROOT / "kernels") for path in folder.rglob("*")
               if path.suffix in (".cpp", ".hpp", ".cu", ".cuh")]
    assert len(sources) > 50
    for path in sources:
        parts = path.parent.relative_to(ROOT).parts
        package = "cubragg.kernels" if parts == ("kernels",) else ".".join(parts)
        assert any(path.match(pattern) for pattern in shipped.get(package, [])), path


def test_module_names_are_unique():
    names = [path.stem for path in PACKAGE.rglob("*.py") if not path.stem.startswith("__")]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []


def test_no_script_shadows_a_module_of_python():
    """A script's folder comes before the standard library on the path of a script that is run."""
    assert {path.stem for path in (ROOT / "scripts").glob("*.py")} & set(sys.stdlib_module_names) == set()
