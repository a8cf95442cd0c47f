"""Values of options that several commands take."""

from __future__ import annotations

import typer

from biopsy_ai.errors import ConfigError


def parse_mpp(text: str | None) -> float | tuple[float, float] | None:
    """Read a pixel size in µm, one number or ``y,x``.

    Raises
    ------
    typer.BadParameter
        If the text is neither.
    """
    if text is None:
        return None
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) == 1:
        return values[0]
    if len(values) == 2:
        first, second = text.split(",")
        if values[0] != values[1] and first.strip().isdecimal() and second.strip().isdecimal():
            raise typer.BadParameter(
                f"{text!r} has a comma: write {first.strip()}.{second.strip()} for one number, or "
                f"{values[0]},{values[1]} for pixels that are {values[0]} µm high and "
                f"{values[1]} µm wide",
                param_hint="'--mpp'",
            )
        return values[0], values[1]
    raise typer.BadParameter(
        f"{text!r} is not a pixel size in µm, such as 0.5 or 0.5,0.5 (y,x)", param_hint="'--mpp'"
    )


def parse_channels(text: str | None) -> dict[str, int] | None:
    """Read channel numbers by name, such as ``border=3,nuclei=0``.

    Raises
    ------
    typer.BadParameter
        If the text is something else.
    """
    if text is None:
        return None
    from biopsy_ai.config import read_channels

    try:
        return read_channels(text)
    except ConfigError as error:
        raise typer.BadParameter(str(error), param_hint="'--channels'") from None
