"""`python -m limpid`: the same as the command `limpid`."""

from limpid.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
