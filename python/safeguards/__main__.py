"""`python -m safeguards`: the command line."""

from safeguards.cli import main

main()
