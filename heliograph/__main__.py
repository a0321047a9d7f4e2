"""`python -m heliograph`, and the `heliograph` command."""

from heliograph.cli.app import main

if __name__ == "__main__":
    main()
