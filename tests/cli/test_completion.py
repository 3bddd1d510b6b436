"""Completion of a line in the shell, as Click's scripts for bash, zsh and fish ask for it."""

from __future__ import annotations

import click
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
    ("cubragg view --png-s", {"--png-scale", "--png-spots"}),
    ("cubragg view x --png-scale l", {"linear", "log"}), ("cubragg trace 1 2 -dist", {"-distance"}),
    ("cubragg compare a -dist", {"-distance"})])
def test_words(line, offered):
    assert completed(line) == {f"plain,{word}" for word in offered}


@pytest.mark.requirement("AT-CLI-014")
def test_files():
    assert completed("cubragg -hkl P") == {"file,P"}
    assert "plain,simulate" in completed("cubragg ")


@pytest.mark.parametrize("command", ["", *cli.list_commands(click.Context(cli))])
def test_help_fits_a_terminal_of_80_columns(command, monkeypatch):
    """Every option is listed once, in lines of at most 80 letters."""
    monkeypatch.setenv("COLUMNS", "80")
    text = CliRunner().invoke(cli, [*command.split(), "--help"], prog_name="cubragg", terminal_width=80).output
    assert [line for line in text.splitlines() if len(line) > 80] == []
    found = cli.get_command(click.Context(cli), command) if command not in ("", "simulate") else None
    if found is not None:
        records = [param.get_help_record(click.Context(found)) for param in found.params
                   if isinstance(param, click.Option)]
        lines = text.splitlines()
        for record in records:
            assert sum(line.startswith(f"  {record[0]}") for line in lines) == 1, record
