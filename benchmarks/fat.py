"""Real tiles that are fat, or hold none: what the class map makes of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from readings import Reader
from tables import markdown, share

from biopsy_ai.tissue_classes import TISSUE_CLASSES

TILES = Path(__file__).with_name("tiles.yaml")

COVERED_GOAL, FALSE_GOAL = 0.90, 0.05


def fat_table(data: Path, reader: Reader) -> str:
    """Markdown table: share of each tile in each class, and the means of tiles of a kind."""
    tiles = read_tiles(data, reader)
    rows = [_row(row.image, [row.Index], tiles) for row in tiles.itertuples()]
    for (source, is_fat, use), group in tiles.groupby(["source", "is_fat", "use"], sort=False):
        title = f"{source}, {'fat' if is_fat else 'no fat'}, {use} (mean)"
        rows.append(_row(title, group.index, tiles))
        plain = group[~group["holds_fat_cells"]]
        if 0 < len(plain) < len(group):
            rows.append(_row(f"{title}, without tiles full of fat cells", plain.index, tiles))
    goal = f"fat ≥ {COVERED_GOAL:.0%}, or < {FALSE_GOAL:.0%} where none"
    return markdown(("tile", "use", *TISSUE_CLASSES, goal), rows)


def read_tiles(data: Path, reader: Reader) -> pd.DataFrame:
    """One row per tile: where it is from, what it is, and the share of each class."""
    rows = []
    for entry in yaml.safe_load(TILES.read_text(encoding="utf-8"))["fat"]:
        path = data / entry["image"]
        classes = reader(path, float(entry["mpp"]), "he", {}).classes
        shares = np.full(len(TISSUE_CLASSES), np.nan)
        if classes is not None:
            counts = np.bincount(classes.labels.ravel(), minlength=len(TISSUE_CLASSES))
            shares = counts / counts.sum()
        facts = {"image": path.stem, "source": path.parent.name}
        facts |= {"is_fat": bool(entry["is_fat"]), "use": str(entry["use"])}
        facts["holds_fat_cells"] = bool(entry.get("holds_fat_cells", False))
        rows.append(facts | dict(zip(TISSUE_CLASSES, shares, strict=True)))
    return pd.DataFrame(rows)


def _row(title: str, chosen: Iterable[int], tiles: pd.DataFrame) -> list[str]:
    group = tiles.loc[list(chosen)]
    first = group.iloc[0]
    means = group[list(TISSUE_CLASSES)].mean()
    fat = float(means["fat"])
    met = fat >= COVERED_GOAL if first["is_fat"] else fat < FALSE_GOAL
    return [title, str(first["use"]), *(share(v) for v in means), "met" if met else "not met"]
