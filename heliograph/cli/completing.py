"""`heliograph completion`: what makes a shell complete commands and flags."""

from __future__ import annotations

import sys
from typing import Annotated, Final, Literal

from cyclopts import Parameter

_ZSH_END: Final = """
# In a folder of fpath, under whatever name, it completes when it is loaded; sourced, from now on.
case $funcstack[1] in
  _*heliograph) _cyclopts_heliograph "$@" ;;
  *) compdef _cyclopts_heliograph heliograph ;;
esac
"""
"""What cyclopts leaves out: its script only defines a function, which a file's name must equal."""


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], Parameter(help="Which shell.")], /
) -> int:
    """Print the script by which a shell completes commands and flags.

    Example:
        source <(heliograph completion bash)
        heliograph completion zsh > ~/.zfunc/_heliograph
        heliograph completion fish > ~/.config/fish/completions/heliograph.fish
    """
    from heliograph.cli.app import app  # noqa: PLC0415 - it has this command too

    sys.stdout.write(app.generate_completion(shell=shell) + (_ZSH_END if shell == "zsh" else ""))
    return 0
