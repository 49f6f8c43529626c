"""`rollout-sim completion`: the script that makes a shell complete commands, files and strategies."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from rollout_sim.commands.options import PROGRAM


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that makes SHELL complete commands, options, scenario files and strategies.

    \b
    bash   rollout-sim completion bash > ~/.local/share/bash-completion/completions/rollout-sim
    zsh    rollout-sim completion zsh > a folder of your fpath/_rollout-sim
    fish   rollout-sim completion fish > ~/.config/fish/completions/rollout-sim.fish

    Or for this session, in bash and zsh: eval "$(rollout-sim completion bash)"
    """  # noqa: D301 - click's sign for lines that are kept, a backspace
    kind = get_completion_class(shell)
    assert kind is not None, shell
    variable = f"_{PROGRAM}_COMPLETE".replace("-", "_").upper()
    click.echo(kind(context.find_root().command, {}, PROGRAM, variable).source())
