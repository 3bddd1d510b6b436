"""Any bytes, and any change of a valid file, through every command that reads files: read, or one line of error.

`scripts/fuzz_files.py` does the same to tens of thousands of files, in processes with limits of time and memory.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.command import invoke
from support.scripts import ROOT

if str(ROOT / "scripts") not in sys.path:
    sys.path.append(str(ROOT / "scripts"))
from fuzzing import corpus, sandbox

GOOD = sandbox.GOOD
same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def seeds(tmp_path_factory) -> SimpleNamespace:
    """Valid files by kind, and the folder that holds them."""
    folder = tmp_path_factory.mktemp("seeds")
    return SimpleNamespace(folder=folder, files=corpus.make(folder))


def outcome(seeds, folder: Path, kind: str, line: str, write) -> str:
    """The outcome of a command line on the file that ``write`` writes; bugs and warnings are raised."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    path = folder / f"in{corpus.KINDS[kind].suffix}"
    if "good.img" in line:
        shutil.copy(seeds.folder / "good.img", folder)
    write(path)
    before = set(os.listdir(folder))
    result = invoke(corpus.line_for(line, path.name))
    return sandbox.outcome(folder, before, corpus.OUTPUTS, result.exit_code, result.stderr)


@pytest.mark.parametrize("kind", corpus.KINDS)
def test_every_command_line_reads_a_valid_file(seeds, folder, kind):
    """Mutations are no test of a reader if the command line is refused for another reason."""
    beside = corpus.KINDS[kind].beside

    def copied(seed: Path, path: Path) -> None:
        shutil.copy(seed, path)
        if beside:
            shutil.copy(seed.with_suffix(beside), path.with_suffix(beside))

    for line in corpus.KINDS[kind].lines:
        assert any(outcome(seeds, folder, kind, line, lambda path, seed=seed: copied(seed, path)) in GOOD[1:]
                   for seed in seeds.files[kind]), line


def check_mutations(seeds, folder, kind, number):
    rng = random.Random(number)
    seed, line = rng.choice(seeds.files[kind]), rng.choice(corpus.KINDS[kind].lines)
    assert outcome(seeds, folder, kind, line, lambda path: corpus.mutated(kind, seed, path, rng)) in GOOD


@pytest.mark.requirement("AT-IO-010")
@pytest.mark.parametrize("kind", corpus.KINDS)
@settings(same_folder, max_examples=12)
@given(number=st.integers(0, 2**32))
def test_mutations(seeds, folder, kind, number):
    """Of bytes, text, or trees (JSON, TOML, HDF5), as the kind of file has them."""
    check_mutations(seeds, folder, kind, number)


@pytest.mark.slow
@pytest.mark.parametrize("kind", corpus.KINDS)
@settings(same_folder, max_examples=100)
@given(number=st.integers(0, 2**32))
def test_many_mutations(seeds, folder, kind, number):
    check_mutations(seeds, folder, kind, number)


@pytest.mark.parametrize("kind", corpus.KINDS)
@settings(same_folder, max_examples=8)
@given(kept=st.integers(0, 600), content=st.one_of(st.binary(max_size=300), st.text(max_size=200).map(
    lambda text: text.encode("utf-8", "surrogatepass"))), number=st.integers(0, 100))
def test_any_content_behind_a_valid_start(seeds, folder, kind, kept, content, number):
    rng = random.Random(number)
    start = rng.choice(seeds.files[kind]).read_bytes()[:kept]
    line = rng.choice(corpus.KINDS[kind].lines)
    assert outcome(seeds, folder, kind, line, lambda path: path.write_bytes(start + content)) in GOOD


VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))
TREES = st.recursive(VALUES, lambda inner: st.one_of(
    st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=4)), max_leaves=12)


@pytest.mark.parametrize("kind", ["expt", "trace"])
@settings(same_folder, max_examples=20)
@given(tree=TREES, number=st.integers(0, 1000))
def test_any_tree_in_place_of_a_node(seeds, folder, kind, tree, number):
    """The tree of a valid file, with any other tree in one place."""
    rng = random.Random(number)
    document = json.loads(rng.choice(seeds.files[kind]).read_bytes())
    parent = document
    while True:
        key = rng.choice(list(parent) if isinstance(parent, dict) else range(len(parent)))
        if not isinstance(parent[key], dict | list) or not parent[key] or rng.random() < 0.2:
            break
        parent = parent[key]
    parent[key] = tree
    text = json.dumps(document).encode("utf-8", "surrogatepass")
    line = rng.choice(corpus.KINDS[kind].lines)
    assert outcome(seeds, folder, kind, line, lambda path: path.write_bytes(text)) in GOOD
