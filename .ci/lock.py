"""Writes requirements.lock from what this interpreter's environment holds: no paths, no indexes, no local versions."""

from __future__ import annotations

from importlib.metadata import distributions
from pathlib import Path

HEAD = """\
# Exact versions for development, the demo and the tests; made by `make lock`. A user's own torch is a range in
# pyproject.toml. No index is named here: pip's own settings say where packages come from.
"""
LEFT_OUT = {"pip", "limpid"}


def main() -> None:
    """Write the file at the root of the repository."""
    found = {d.metadata["Name"]: d.version.partition("+")[0] for d in distributions()}
    lines = [f"{name}=={found[name]}" for name in sorted(found, key=str.lower) if name.lower() not in LEFT_OUT]
    (Path(__file__).resolve().parent.parent / "requirements.lock").write_text(
        HEAD + "\n".join(lines) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
