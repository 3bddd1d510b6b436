"""Complete flags of ``simulate`` and their values in the shell."""

from __future__ import annotations

from collections.abc import Sequence

import click
from click.shell_completion import CompletionItem

from cubragg.cli.base_command import WORDS, BaseCommand
from cubragg.cli.flags import FLAGS, SPELLINGS


def completions(words: Sequence[str], incomplete: str) -> list[CompletionItem]:
    """Return flags that begin with ``incomplete``, or values of the flag that is the last of ``words`` before it."""
    flag = SPELLINGS.get(words[-1]) if words else None
    if flag is not None and flag.kind == "file":
        return [CompletionItem(incomplete, type="file")]
    if flag is not None and flag.kind == "choice":
        return [CompletionItem(choice) for choice in flag.choices if choice.startswith(incomplete)]
    return [CompletionItem(name, help=flag.help) for flag in FLAGS for name in flag.names
            if incomplete.startswith("-") and name.startswith(incomplete)]


class FlagCommand(BaseCommand):
    """Command that has the flags of ``simulate``, besides options of its own."""

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete an option, a flag, or the value of the flag before it."""
        return [*super().shell_complete(ctx, incomplete), *completions(ctx.meta.get(WORDS, ()), incomplete)]
