"""Starting the viewer from the command line, as a process of its own on a screen of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("napari", reason="napari is not installed: pip install biopsy-ai[gui]")

from biopsy_ai import RESEARCH_USE_ONLY, sample_slides

pytestmark = pytest.mark.gui

END_S = 100.0


@dataclass(frozen=True)
class Screen:
    """A screen that can be looked at from outside."""

    name: str
    picture: Path

    def look(self) -> np.ndarray:
        """Read the pixels (rows, columns, 3) out of the file that the X server draws into."""
        content = self.picture.read_bytes()
        header = np.frombuffer(content, ">u4", 25)
        start = int(header[0] + 12 * header[19])
        height, line = int(header[5]), int(header[12])
        pixels = np.frombuffer(content, np.uint8, height * line, start)
        return pixels.reshape(height, -1, 4)[..., 2::-1]


@pytest.fixture
def screen(tmp_path: Path) -> Iterator[Screen]:
    if shutil.which("Xvfb") is None:
        pytest.skip("no Xvfb to open a window on (Debian: apt-get install xvfb)")
    folder = tmp_path / "screen"
    folder.mkdir()
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1280x800x24", "-fbdir", str(folder)],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    try:
        with os.fdopen(reading) as told:
            number = told.readline().strip()
        yield Screen(f":{number}", folder / "Xvfb_screen0")
    finally:
        server.terminate()
        server.wait(timeout=30)


def wait_until(ready: object, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + END_S
    while not ready():  # type: ignore[operator]
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "the window never showed the slide"
        time.sleep(0.2)


@pytest.mark.slow
def test_a_slide_is_shown_and_ctrl_c_closes_the_window(screen: Screen, tmp_path: Path) -> None:
    (sample,) = (path for path in sample_slides() if path.stem == "normal_he")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("QT_")},
        "DISPLAY": screen.name,
        "NAPARI_CONFIG": str(tmp_path / "napari.yaml"),
        # of OpenCV, which no Qt must follow
        "QT_QPA_PLATFORM_PLUGIN_PATH": str(tmp_path),
    }
    import cv2

    environment["QT_QPA_PLATFORM_PLUGIN_PATH"] = str(Path(cv2.__file__).parent / "qt" / "plugins")
    dark = screen.look()
    assert dark.max() == 0
    process = subprocess.Popen(
        # a shell that runs the tests in the background makes its children ignore Ctrl-C
        [
            sys.executable,
            "-c",
            "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "from biopsy_ai.cli import main; main()",
            "gui",
            str(sample),
        ],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        lines = []
        while not any("The window is open" in line for line in lines):
            lines.append(process.stderr.readline())
            assert lines[-1], "".join(lines)
        assert lines[0].strip() == RESEARCH_USE_ONLY

        def pink() -> bool:
            red, green, blue = np.moveaxis(screen.look().astype(int), -1, 0)
            return bool(np.mean((red > 150) & (red - green > 40) & (red - blue > 10)) > 0.05)

        wait_until(pink, process)
        shown = screen.look()
        # the panel at the right and the table below are no black canvas
        assert shown[100:400, -300:].mean() > 20
        assert shown[-120:, 200:900].mean() > 20
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=END_S)
    finally:
        process.kill()
    assert process.returncode == 130, rest
    assert "Traceback" not in rest
