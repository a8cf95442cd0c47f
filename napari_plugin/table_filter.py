"""A line such as ``min_feret_um < 30 and type == "II"`` that picks rows of a table.

The line looks like Python and is not run as such: it is taken apart, and only comparisons of
columns with values, arithmetic, ``and``, ``or``, ``not``, ``in`` and ``isna`` are followed.
"""

from __future__ import annotations

import ast
import difflib
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MAX_LETTERS = 2000
"""Longer lines are refused."""

EXAMPLE = 'min_feret_um < 30 and type == "II"'

_COMPARED: dict[type, Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_CALCULATED: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_MARKS = {ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "or", ast.Invert: "not"}


class FilterError(ValueError):
    """A filter line cannot be followed; the message says why, and what to write."""


def filter_rows(line: str, table: pd.DataFrame) -> NDArray[np.bool_]:
    """Tell which rows of a table a line picks.

    Parameters
    ----------
    line
        All rows where it is empty.
    table
        Whose columns the line names.

    Returns
    -------
    (n,) ndarray of bool
        Rows for which a number or truth value is not known are picked by ``isna`` alone.

    Raises
    ------
    FilterError
        If the line cannot be followed.
    """
    line = line.strip()
    if not line:
        return np.ones(len(table), bool)
    if len(line) > MAX_LETTERS:
        raise FilterError(f"The filter is longer than {MAX_LETTERS:,} letters.")
    try:
        # columns may be named as words of Python are, such as "is" or "lambda": none here is
        body = ast.parse(line, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise FilterError(_why_unreadable(line)) from None
    try:
        with np.errstate(all="ignore"):
            found = _Reader(table).follow(body)
    except RecursionError:
        raise FilterError("The filter has too many brackets.") from None
    if not _is_truth(found):
        raise FilterError(f"Compare it with a value, for example {EXAMPLE}.")
    if isinstance(found, bool | np.bool_):
        return np.full(len(table), bool(found))
    return np.asarray(found.fillna(False), bool)


def _why_unreadable(line: str) -> str:
    stripped = line.replace("==", "").replace("<=", "").replace(">=", "").replace("!=", "")
    if "=" in stripped:
        return "Write == for equal, with two signs."
    if line.count('"') % 2 or line.count("'") % 2:
        return "A quotation mark is missing."
    if line.count("(") != line.count(")"):
        return "A bracket is missing."
    return f"Something is missing or too much. An example: {EXAMPLE}"


def _is_truth(value: Any) -> bool:
    if isinstance(value, pd.Series):
        return bool(pd.api.types.is_bool_dtype(value.dtype))
    return isinstance(value, bool | np.bool_)


def _is_text(value: Any) -> bool:
    if isinstance(value, pd.Series):
        return value.dtype == "string" or value.dtype == object
    return isinstance(value, str)


class _Reader:
    """Follows the parts of a line."""

    def __init__(self, table: pd.DataFrame) -> None:
        self._table = table

    def follow(self, node: ast.AST) -> Any:
        """Value of a part: a column, or one value for all rows."""
        if isinstance(node, ast.BoolOp):
            return self._joined(node)
        if isinstance(node, ast.Compare):
            return self._compared(node)
        if isinstance(node, ast.UnaryOp):
            return self._turned(node)
        if isinstance(node, ast.BinOp):
            return self._calculated(node)
        if isinstance(node, ast.Name):
            return self._column(node.id)
        if isinstance(node, ast.Constant):
            return _value(node)
        if isinstance(node, ast.Call):
            return self._asked(node)
        raise FilterError(
            f"A filter compares columns with values, for example {EXAMPLE}. It cannot hold "
            f"{ast.unparse(node)[:40]!r}."
        )

    def _column(self, name: str) -> Any:
        if name in ("true", "false"):
            return name == "true"
        if name not in self._table.columns:
            near = difflib.get_close_matches(name, [str(c) for c in self._table.columns], n=1)
            meant = f" Did you mean {near[0]}?" if near else " The columns are in the list beside."
            quoted = f' A text stands in quotes: "{name}".' if not near and name.isalpha() else ""
            raise FilterError(f"There is no column {name}.{meant}{quoted}")
        column = self._table[name]
        if pd.api.types.is_bool_dtype(column.dtype):
            return column.astype("boolean")
        if pd.api.types.is_numeric_dtype(column.dtype):
            known = column.to_numpy(float, na_value=np.nan)
            return pd.Series(pd.array(known, "Float64"), column.index)
        return column.astype(object).where(column.notna(), "").astype(str).astype("string")

    def _joined(self, node: ast.BoolOp) -> Any:
        word = "and" if isinstance(node.op, ast.And) else "or"
        parts = [self.follow(part) for part in node.values]
        for part, written in zip(parts, node.values, strict=True):
            if not _is_truth(part):
                raise FilterError(
                    f"On both sides of {word} stands a comparison; {ast.unparse(written)[:40]} is "
                    "none."
                )
        found = parts[0]
        for part in parts[1:]:
            found = found & part if word == "and" else found | part
        return found

    def _turned(self, node: ast.UnaryOp) -> Any:
        value = self.follow(node.operand)
        if isinstance(node.op, ast.Not):
            if not _is_truth(value):
                raise FilterError("After not stands a comparison.")
            return not value if isinstance(value, bool | np.bool_) else ~value
        if isinstance(node.op, ast.Invert):
            raise FilterError("Write not instead of ~.")
        if _is_text(value) or _is_truth(value):
            raise FilterError("Only a number can have a sign.")
        return -value if isinstance(node.op, ast.USub) else value

    def _calculated(self, node: ast.BinOp) -> Any:
        if type(node.op) in _MARKS:
            word = _MARKS[type(node.op)]
            raise FilterError(f"Write {word} in letters, with comparisons on both sides.")
        act = _CALCULATED.get(type(node.op))
        if act is None:
            raise FilterError("Only +, −, * and / can be calculated.")
        left, right = self.follow(node.left), self.follow(node.right)
        if any(_is_text(side) or _is_truth(side) for side in (left, right)):
            raise FilterError("Only numbers can be calculated with.")
        try:
            return act(left, right)
        except ZeroDivisionError:
            raise FilterError("There is a division by 0.") from None

    def _compared(self, node: ast.Compare) -> Any:
        found: Any = None
        left, left_node = self.follow(node.left), node.left
        for op, right_node in zip(node.ops, node.comparators, strict=True):
            if isinstance(op, ast.In | ast.NotIn):
                part = self._among(left, right_node)
                part = ~part if isinstance(op, ast.NotIn) else part
                right = None
            else:
                act = _COMPARED.get(type(op))
                if act is None:
                    raise FilterError("Write == or != instead of is.")
                right = self.follow(right_node)
                _check_alike(left, right, left_node, right_node, op)
                part = act(left, right)
            found = part if found is None else found & part
            left, left_node = right, right_node
        return found

    def _among(self, left: Any, node: ast.AST) -> Any:
        if not isinstance(node, ast.List | ast.Tuple | ast.Set):
            raise FilterError('After in stands a list, for example type in ["I", "IIA"].')
        if not isinstance(left, pd.Series):
            raise FilterError("Before in stands a column.")
        values = [self.follow(each) for each in node.elts]
        if any(isinstance(value, pd.Series) for value in values):
            raise FilterError("A list holds values and no columns.")
        for value, written in zip(values, node.elts, strict=True):
            _check_alike(left, value, node, written, ast.Eq())
        return left.isin(values).astype("boolean").mask(left.isna())

    def _asked(self, node: ast.Call) -> Any:
        """``isna(column)`` or ``column.isna()``, and ``notna``."""
        name, asked = "", list(node.args)
        if isinstance(node.func, ast.Name):
            name = node.func.id
        elif isinstance(node.func, ast.Attribute) and not asked:
            name, asked = node.func.attr, [node.func.value]
        if name not in ("isna", "notna") or len(asked) != 1 or node.keywords:
            raise FilterError("Only isna(column) and notna(column) can be asked.")
        column = self.follow(asked[0])
        if not isinstance(column, pd.Series):
            raise FilterError(f"{name} asks for a column.")
        missing = column.isna() | (column == "" if _is_text(column) else False)
        return (missing if name == "isna" else ~missing).astype("boolean")


def _value(node: ast.Constant) -> Any:
    if isinstance(node.value, bool | int | float | str):
        return node.value
    raise FilterError(f"{ast.unparse(node)} is neither a number nor a text in quotes.")


def _check_alike(
    left: Any, right: Any, left_node: ast.AST, right_node: ast.AST, op: ast.AST
) -> None:
    """Refuse to compare a text with a number, which would never be equal."""
    texts = [_is_text(left), _is_text(right)]
    truths = [_is_truth(left), _is_truth(right)]
    if texts[0] != texts[1]:
        text, other = (left_node, right_node) if texts[0] else (right_node, left_node)
        raise FilterError(
            f"{ast.unparse(text)[:40]} is a text and {ast.unparse(other)[:40]} is none; a text "
            "stands in quotes."
        )
    if any(truths) and not isinstance(op, ast.Eq | ast.NotEq):
        raise FilterError("What is true or false is written alone, or with not before it.")
