"""`heliograph completion`: what makes a shell complete commands and flags."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

from cyclopts import Parameter


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

    sys.stdout.write(app.generate_completion(shell=shell))
    return 0
