"""``python -m biopsy_ai``: the same as the command ``biopsy-ai``."""

from __future__ import annotations

from biopsy_ai.cli import main

if __name__ == "__main__":
    main()
