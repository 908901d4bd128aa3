"""`python -m safeguards`: the command line."""

from safeguards.cli import main

if __name__ == "__main__":
    main()
