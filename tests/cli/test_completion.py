"""Completion of a line in the shell, as Click's scripts for bash, zsh and fish ask for it."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from cubragg.cli.commands import cli


def completed(line: str) -> set[str]:
    """What bash offers for the last word of a line."""
    words = line.split(" ")
    result = CliRunner().invoke(cli, prog_name="cubragg", env={
        "_CUBRAGG_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)})
    assert result.exit_code == 0
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return set(result.stdout.split())


@pytest.mark.requirement("AT-CLI-014")
@pytest.mark.parametrize(("line", "offered"), [
    ("cubragg simulate -dis", {"-dispersion", "-dispsteps", "-distance"}), ("cubragg -disps", {"-dispsteps"}),
    ("cubragg -lambda 1 -osc", {"-osc"}), ("cubragg simulate --backend c", {"cuda", "cpu"}), ("cubragg vi", {"view"}),
    ("cubragg simulate -h -dist", {"-distance"}), ("cubragg simulate x", set()), ("cubragg sf --di", {"--direct"}),
    ("cubragg view --png-s", {"--png-scale"}),
    ("cubragg view x --png-scale l", {"linear", "log"}), ("cubragg trace 1 2 -dist", {"-distance"}),
    ("cubragg compare a -dist", {"-distance"})])
def test_words(line, offered):
    assert completed(line) == {f"plain,{word}" for word in offered}


@pytest.mark.requirement("AT-CLI-014")
def test_files():
    assert completed("cubragg -hkl P") == {"file,P"}
    assert "plain,simulate" in completed("cubragg ")
