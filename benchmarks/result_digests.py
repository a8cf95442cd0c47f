"""Hashes of results, by which two runs are compared to the last digit."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import tifffile

WITH_TIMES = {"summary.json", "report.html", "report.pdf"}
"""These say when the analysis was made, and how long it took."""


def digests(out: Path) -> dict[str, str]:
    """Hash every result of a run, by path below its folder; summaries without times."""
    found = {}
    for path in sorted(out.glob("*/*")):
        if path.is_file() and path.name not in WITH_TIMES:
            # a TIFF says when it was written
            pixels = tifffile.imread(path).tobytes() if path.suffix == ".tif" else b""
            content = pixels or path.read_bytes()
            found[path.relative_to(out).as_posix()] = hashlib.sha256(content).hexdigest()
    for path in sorted(out.glob("*/summary.json")):
        summary = json.loads(path.read_text(encoding="utf-8"))
        summary["provenance"] = {
            key: value
            for key, value in summary["provenance"].items()
            if key not in ("seconds", "utc_time")
        }
        text = json.dumps(summary, sort_keys=True)
        found[path.relative_to(out).as_posix()] = hashlib.sha256(text.encode()).hexdigest()
    return found


def unreadable(out: Path) -> list[str]:
    """Name results that are missing, half-written or cannot be read."""
    import pandas as pd

    wrong = [str(path) for path in out.rglob(".*")]
    for folder in sorted(path for path in out.iterdir() if path.is_dir()):
        try:
            summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
            missing = [name for name in summary["files"] if not (folder / name).is_file()]
            if missing:
                raise ValueError(f"{missing} missing")
            rows = len(pd.read_csv(folder / "fibers.csv"))
            if rows != summary["fibers"]["n_fibers"]:
                raise ValueError(f"{rows} rows")
            for path in folder.glob("*.tif"):
                tifffile.imread(path)
            json.loads((folder / "fibers.geojson").read_text(encoding="utf-8"))
        except (OSError, ValueError, KeyError) as error:
            wrong.append(f"{folder.name}: {error}")
    return wrong
