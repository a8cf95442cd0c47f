"""The fibers of a whole cohort in one Parquet file, written some sections at a time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biopsy_ai import RESEARCH_USE_ONLY, __version__
from biopsy_ai.errors import OutputError
from biopsy_ai.formats.read_tables import FIBER_KINDS
from biopsy_ai.measure.exclusion import is_excluded
from biopsy_ai.patients.sections import IDENTITY, CohortSection, LeftOut, fiber_columns

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

ROWS = 100_000
"""Fibers that are gathered before they are written as one row group. [default]"""

METADATA_KEY = b"biopsy_ai"
"""Of the metadata of the file: JSON with the version and the slides that were left out."""

_IDENTITY_KINDS: dict[str, Any] = {
    **dict.fromkeys(IDENTITY, str),
    "patient_named": "bool",
    "age": "float64",
    "reviewed": "bool",
    "is_measured": "bool",
}


class FibersWriter:
    """Writes fibers to a Parquet file, section after section.

    Every section gets the same columns in the same types; what one does not have is missing there.
    No more than `ROWS` fibers and one section are held at any time.

    Parameters
    ----------
    path
        File to write.
    sections
        All that will be written: their tables say which columns there are.
    sheet_columns
        Further columns of the sample sheet.
    left_out
        Slides to be named in the file's metadata.
    """

    def __init__(
        self,
        path: Path,
        sections: Iterable[CohortSection],
        sheet_columns: Sequence[str] = (),
        left_out: Sequence[LeftOut] = (),
    ) -> None:
        import pyarrow.parquet as pq

        self.n_rows = 0
        self._waiting: list[pa.Table] = []
        self._n_waiting = 0
        self.schema = fibers_schema(sections, sheet_columns)
        self._sheet_columns = tuple(sheet_columns)
        self._left_out = list(left_out)
        self._file = pq.ParquetWriter(path, self.schema, compression="zstd")

    def write(self, section: CohortSection, fibers: pd.DataFrame) -> None:
        """Add the fibers of a section."""
        import pyarrow as pa

        known: dict[str, Any] = {
            **{name: getattr(section, name) for name in IDENTITY if name != "is_measured"},
            **{name: section.sheet.get(name, "") for name in self._sheet_columns},
        }
        measured = ~is_excluded(fibers)
        columns = []
        for field in self.schema:
            if field.name in known:
                value = known[field.name]
                scalar = pa.scalar(None if value == "" else value, field.type)
                columns.append(pa.repeat(scalar, len(fibers)))
            elif field.name == "is_measured":
                columns.append(pa.array(measured))
            elif field.name in fibers:
                columns.append(_array(fibers[field.name], field.type))
            else:
                columns.append(pa.nulls(len(fibers), field.type))
        self._waiting.append(pa.Table.from_arrays(columns, schema=self.schema))
        self._n_waiting += len(fibers)
        if self._n_waiting >= ROWS:
            self._flush()

    def close(self, *, left_out: Sequence[LeftOut] = ()) -> None:
        """Finish the file, and name what was left out, as far as it is known only now."""
        self._flush()
        about = {
            "biopsy_ai_version": __version__,
            "research_use_only": RESEARCH_USE_ONLY,
            "left_out": [str(slide) for slide in (*self._left_out, *left_out)],
        }
        self._file.add_key_value_metadata(
            {METADATA_KEY: json.dumps(about, ensure_ascii=False).encode("utf-8")}
        )
        self._file.close()

    def abandon(self) -> None:
        """Stop in the middle."""
        self._file.close()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._waiting:
            table = pa.concat_tables(self._waiting)
            self._waiting, self._n_waiting = [], 0
            # one row group, but where a section is very large
            self._file.write_table(table, row_group_size=2 * ROWS)
            self.n_rows += len(table)


def fibers_schema(
    sections: Iterable[CohortSection], sheet_columns: Sequence[str] = ()
) -> pa.Schema:
    """Columns and types of the fibers of some sections, in the order in which they are met.

    Raises
    ------
    OutputError
        If no section has a table that can be read.
    """
    import pandas as pd
    import pyarrow as pa

    names: dict[str, None] = {}
    for section in sections:
        names |= dict.fromkeys(fiber_columns(section.folder))
    if not names:
        raise OutputError("no section has fibers that can be read. Analyze some slides first.")
    kinds = {
        **_IDENTITY_KINDS,
        **dict.fromkeys(sheet_columns, str),
        **{name: FIBER_KINDS.get(name, "float64") for name in names},
    }
    # what may be missing in another section must be able to be missing here
    frame = pd.DataFrame({name: pd.Series(dtype=_nullable(kind)) for name, kind in kinds.items()})
    schema = pa.Schema.from_pandas(frame, preserve_index=False)
    fields = [
        pa.field(field.name, pa.string()) if pa.types.is_large_string(field.type) else field
        for field in schema
    ]
    return pa.schema(fields, metadata=schema.metadata)


def _nullable(kind: Any) -> Any:
    return "boolean" if kind == "bool" else kind


def _array(column: pd.Series, kind: pa.DataType) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(kind):
        text = pa.array(column.tolist(), kind)
        return pc.if_else(pc.equal(text, ""), pa.scalar(None, kind), text)
    found = pa.array(column, from_pandas=True)
    # a column without any value
    return pa.nulls(len(column), kind) if pa.types.is_null(found.type) else found.cast(kind)
