from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from drawn_sections import DrawnSection, draw_section
from typer.main import get_command
from typer.testing import CliRunner, Result

import biopsy_ai
from biopsy_ai import RESEARCH_USE_ONLY
from biopsy_ai.cli import app
from biopsy_ai.cli.analysis import _line
from biopsy_ai.cli.interruption import noting_interruption
from biopsy_ai.cli.progress import StageBars
from biopsy_ai.cohort import Outcome
from biopsy_ai.errors import Cancelled, ModelError

COMMANDS = sorted(command.callback.__name__ for command in app.registered_commands)  # type: ignore[union-attr]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help(command: str) -> None:
    result = run(*[command] if command else [], "--help")
    assert result.exit_code == 0
    assert "Example:" in result.output
    assert RESEARCH_USE_ONLY in " ".join(result.output.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_an_example(command: str) -> None:
    parameters = get_command(app).commands[command].params  # type: ignore[attr-defined]
    without = {option.name for option in parameters if "Example:" not in (option.help or "")}
    assert not without


def test_common_options_have_an_example() -> None:
    assert all("Example:" in (option.help or "") for option in get_command(app).params)  # type: ignore[attr-defined]


def test_help_says_what_the_stain_changes() -> None:
    parameters = {p.name: p for p in get_command(app).commands["analyze"].params}  # type: ignore[attr-defined]
    said = parameters["stain"].help
    assert "'if' as fluorescence, any other name as bright field" in said
    assert "names the stain by its colors where they are clear" in said


def test_version() -> None:
    result = run("--version")
    assert result.exit_code == 0
    assert biopsy_ai.__version__ in result.output
    assert RESEARCH_USE_ONLY in result.output


def test_without_a_command_help_is_shown() -> None:
    result = run()
    assert result.exit_code == 2
    assert "analyze" in result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["analyze"], "--fibers"),
        (["analyze", "SLIDE", "--nonsense"], "--nonsense"),
        (["analyze", "SLIDE", "--mpp", "half"], "--mpp"),
        (["analyze", "SLIDE", "--mpp", "1,2,3"], "--mpp"),
        (["analyze", "SLIDE", "--mpp", "0,5"], "write 0.5"),
        (["analyze", "SLIDE", "--stain", "giemsa"], "giemsa"),
        (["analyze", "SLIDE", "--channels", "border"], "--channels"),
        (["analyze", "SLIDE", "--channels", "border=red"], "--channels"),
        (["analyze", "SLIDE", "--device", "tpu"], "device"),
        (["analyze", "SLIDE", "--sex", "x"], "sex"),
        (["analyze", "SLIDE", "--views", "3"], "views"),
        (["analyze", "SLIDE", "--config", "none.yaml"], "none.yaml"),
        (["analyze", "EMPTY"], "no slide"),
        (["analyze", "SLIDE", "--model", "nosuch"], "nosuch"),
        (["analyze", "SLIDE", "OTHER", "--fibers", "labels.tif"], "labels.tif"),
        (["evaluate", "SLIDE"], "TRUTH"),
        (["dance"], "dance"),
    ],
)
def test_bad_usage(section: DrawnSection, tmp_path: Path, arguments: list[str], words: str) -> None:
    (tmp_path / "empty").mkdir()
    places = {
        "SLIDE": str(section.image),
        "OTHER": str(section.labels),
        "EMPTY": str(tmp_path / "empty"),
    }
    result = run(*(places.get(argument, argument) for argument in arguments))
    assert result.exit_code == 2, result.output
    assert words in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            {
                "tissue": {"fat_percent": 5.44, "connective_percent": 36.23},
                "nuclei": {"assessable": True, "internal_fiber_percent": 20.86},
            },
            "fat 5.4 %, connective tissue 36.2 %, internal nuclei in 20.9 % of fibers -> ",
        ),
        (
            {"tissue": {"assessable": False}, "nuclei": {"assessable": False, "why_not": "sdh"}},
            "median min Feret 50.2 µm, nuclei not assessable -> ",
        ),
        ({}, "median min Feret 50.2 µm, nuclei not assessable -> "),
        ({"nuclei": {"assessable": True, "internal_fiber_percent": None}}, "50.2 µm -> "),
        (
            {
                "types": {"type_1_share": {"share": 0.474}},
                "patterns": {"type_grouping": {"assortativity": 0.536, "p": 0.0002}},
            },
            "not assessable, type I 47 %, assortativity of types +0.54 (p = 0.0002) -> ",
        ),
        ({"patterns": {"type_grouping": {"p": None}}}, "nuclei not assessable -> "),
    ],
)
def test_the_result_line_tells_first_what_a_user_wants(found: dict[str, Any], said: str) -> None:
    quantities = {"area_um2": {"median": 2043.5}, "min_feret_um": {"median": 50.2}}
    fibers = {"n_fibers": 204, "n_measured": 163, "quantities": quantities}
    outcome = Outcome(Path("a.tif"), "ok", Path("out/a"), {"fibers": fibers, **found})
    line = _line(outcome)
    assert line.startswith("a.tif: 204 fibers, 163 measured, median area 2044 µm², ")
    assert said in line


@pytest.mark.usefixtures("fake_network")
class TestAnalyze:
    def test_one_slide(self, section: DrawnSection, tmp_path: Path) -> None:
        out = tmp_path / "results"
        result = run("analyze", section.image, "--out", out)
        assert result.exit_code == 0, result.output
        assert RESEARCH_USE_ONLY in result.stderr
        (line,) = result.stdout.splitlines()
        assert "section.tif" in line
        assert "12 fibers" in line
        assert str(out / "section") in line
        assert {path.name for path in (out / "section").iterdir()} == {
            "fibers.csv",
            "fibers.tif",
            "fibers.geojson",
            "RoiSet.zip",
            "report.html",
            "report.pdf",
            "thumbnail.jpg",
            "overlay.png",
            "overlay_condition.png",
            "contacts.csv",
            "quality.csv",
            "signs.csv",
            "summary.json",
        }

    def test_again(self, section: DrawnSection, tmp_path: Path) -> None:
        run("analyze", section.image, "--out", tmp_path / "results")
        result = run("analyze", section.image, "--out", tmp_path / "results")
        assert result.exit_code == 0
        assert "already there" in result.stdout
        result = run("analyze", section.image, "--out", tmp_path / "results", "--overwrite")
        assert "already there" not in result.stdout

    def test_folder_with_a_bad_slide(self, tmp_path: Path) -> None:
        for name in ("a", "c"):
            draw_section(tmp_path / "slides", name)
        (tmp_path / "slides" / "b.tif").touch()
        result = run("analyze", tmp_path / "slides", "--out", tmp_path / "results")
        assert result.exit_code == 1
        lines = result.stdout.splitlines()
        assert [line.split()[0] for line in lines] == ["a.tif:", "c.tif:", "3", "24"]
        assert "b.tif: failed" in result.stderr
        assert "1 of 3 failed" in result.stderr
        assert (tmp_path / "results" / "c" / "fibers.csv").is_file()

    def test_missing_slide_does_not_stop_the_rest(
        self, section: DrawnSection, tmp_path: Path
    ) -> None:
        result = run("analyze", "none.tif", section.image, "--out", tmp_path / "results")
        assert result.exit_code == 1
        assert "none.tif" in result.stderr
        assert "section.tif" in result.stdout

    def test_empty_folder_does_not_stop_the_rest(
        self, section: DrawnSection, tmp_path: Path
    ) -> None:
        (tmp_path / "empty").mkdir()
        out = tmp_path / "results"
        result = run("analyze", tmp_path / "empty", section.image, "--out", out)
        assert result.exit_code == 1
        assert "empty: failed: " in result.stderr
        assert "holds no slide" in result.stderr
        assert "section.tif" in result.stdout
        assert [row.split(",")[1] for row in (out / "cohort.csv").read_text().splitlines()] == [
            "status",
            "failed",
            "ok",
        ]

    def test_warnings_are_told(self, section: DrawnSection, tmp_path: Path) -> None:
        arguments = ("analyze", section.image, "--out", tmp_path / "results", "--mpp", "0.6")
        for status in ("", "already there"):
            result = run(*arguments)
            assert status in result.stdout
            assert "section.tif: warning: the given pixel size of 0.6" in result.stderr
        assert "warning" not in run(*arguments, "--quiet").output

    def test_unusable_model(
        self, section: DrawnSection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The user can choose another model, but not mend the bundled one."""

        def damaged(name: object, **_: object) -> None:
            raise ModelError(f"{name}: damaged")

        monkeypatch.setattr("biopsy_ai.segmentation.load_model", damaged)
        arguments = ("analyze", section.image, "--out", tmp_path / "results")
        assert run(*arguments).exit_code == 1
        assert run(*arguments, "--model", "muscle").exit_code == 2

    def test_quiet(self, section: DrawnSection, tmp_path: Path) -> None:
        result = run("analyze", section.image, "--out", tmp_path / "results", "--quiet")
        assert result.exit_code == 0
        assert result.stdout == ""
        assert result.stderr.strip() == RESEARCH_USE_ONLY

    def test_progress_bars(self, section: DrawnSection, tmp_path: Path) -> None:
        result = run("analyze", section.image, "--out", tmp_path / "results")
        for stage in ("open", "tissue", "segment", "measure", "report"):
            assert stage in result.stderr

    def test_spaces_and_letters_of_other_alphabets(self, tmp_path: Path) -> None:
        slide = draw_section(tmp_path / "Müller 筋 slides", "Schnitt № 1 – ä").image
        out = tmp_path / "my results – ü"
        result = run("analyze", slide, "--out", out)
        assert result.exit_code == 0, result.output
        assert (out / slide.stem / "fibers.geojson").is_file()

    def test_options_override_the_file_of_settings(
        self, section: DrawnSection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: dict[str, Any] = {}
        monkeypatch.setattr(
            "biopsy_ai.cohort.analyze_many",
            lambda slides, out, config, **options: seen.update(config=config) or [],
        )
        lab = tmp_path / "lab.yaml"
        lab.write_text(
            "stain: sdh\nsex: male\nchannels: {border: 1}\n"
            "segmentation: {views: 2, min_area_um2: 40}\n"
        )
        result = run(
            "analyze", section.image, "--config", lab, "--stain", "he", "--mpp", "0.5,0.25",
            "--channels", "border=3, nuclei=0", "--device", "cpu", "--views", "4",
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        config = seen["config"]
        assert (config.stain, config.sex, config.mpp) == ("he", "male", (0.5, 0.25))
        assert config.channels == {"border": 3, "nuclei": 0}
        assert config.device == "cpu"
        assert (config.segmentation.views, config.segmentation.min_area_um2) == (4, 40)

    def test_output_that_is_a_file(self, section: DrawnSection, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        result = run("analyze", section.image, "--out", tmp_path / "file")
        assert result.exit_code == 1
        assert "Error:" in result.stderr
        assert "file" in result.stderr

    def test_stopped(
        self, section: DrawnSection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for stop in (KeyboardInterrupt, Cancelled):

            def stops(*args: Any, stop: type[BaseException] = stop, **options: Any) -> None:
                raise stop

            monkeypatch.setattr("biopsy_ai.segmentation.segment_fibers", stops)
            result = run("analyze", section.image, "--out", tmp_path / "results")
            assert result.exit_code == 130
            assert "Stopped" in result.stderr

    def test_unexpected_error(
        self, section: DrawnSection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(*args: Any, **options: Any) -> None:
            raise ZeroDivisionError("a bug")

        monkeypatch.setattr("biopsy_ai.cohort.analyze_many", fails)
        result = run("analyze", section.image)
        assert result.exit_code == 1
        assert "a bug" in result.stderr
        assert "Traceback" not in result.stderr
        assert "Traceback" in run("analyze", section.image, "--debug").stderr


def image_without_muscle() -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.integers(225, 235, (200, 200, 3)).astype(np.uint8)


def write(path: Path, pixels: np.ndarray, mpp: float | None = 0.5) -> None:
    known = {} if mpp is None else {"resolution": (1e4 / mpp,) * 2, "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(path, pixels, **known)


def make_bad(kind: str, section: DrawnSection, path: Path) -> None:
    data = section.image.read_bytes()
    pixels = tifffile.imread(section.image)
    if kind == "empty":
        path.touch()
    elif kind == "truncated":
        path.write_bytes(data[: len(data) // 3])
    elif kind == "corrupt header":
        path.write_bytes(b"\xff" * 64 + data[64:])
    elif kind == "text":
        path.write_text("This is a letter and not an image.\n")
    elif kind == "no pixel size":
        write(path, pixels, mpp=None)
    elif kind == "absurd pixel size in the file":
        write(path, pixels, mpp=0.001)
    elif kind == "white":
        write(path, np.full((300, 300, 3), 255, np.uint8))
    elif kind == "black":
        write(path, np.zeros((300, 300, 3), np.uint8))
    elif kind == "no muscle":
        write(path, image_without_muscle())
    elif kind == "narrow":
        write(path, pixels[:, :50])
    elif kind == "NaN":
        broken = pixels[..., 0].astype(np.float32)
        broken[10:20, 10:20] = np.nan
        write(path, broken)


@pytest.mark.usefixtures("fake_network")
@pytest.mark.parametrize(
    "kind",
    [
        "missing",
        "empty",
        "truncated",
        "corrupt header",
        "text",
        "no pixel size",
        "absurd pixel size in the file",
        "white",
        "black",
        "no muscle",
        "narrow",
        "NaN",
    ],
)
def test_bad_input(section: DrawnSection, tmp_path: Path, kind: str) -> None:
    """Each has one line that names the file, and leaves no results."""
    path = tmp_path / "bad slide.tif"
    make_bad(kind, section, path)
    result = run("analyze", path, "--out", tmp_path / "results", "--channels", "border=0")
    assert result.exit_code == 1, result.output
    assert "bad slide.tif: failed: " in result.stderr
    assert "unexpected" not in result.stderr.lower()
    assert "Traceback" not in result.stderr
    written = {entry.name for entry in (tmp_path / "results").iterdir()}
    assert written == {"cohort.csv", "cohort.html", "run.json"}


@pytest.mark.usefixtures("fake_network")
@pytest.mark.parametrize("mpp", ["0", "-0.5", "1000", "nan"])
def test_absurd_pixel_size(section: DrawnSection, tmp_path: Path, mpp: str) -> None:
    result = run("analyze", section.image, "--out", tmp_path / "results", f"--mpp={mpp}")
    assert result.exit_code == 1
    assert "section.tif" in result.stderr
    assert "pixel size" in result.stderr


@pytest.mark.usefixtures("fake_network")
def test_wrong_suffix(section: DrawnSection, tmp_path: Path) -> None:
    """What a file is, is decided by its content."""
    path = tmp_path / "really a tiff.png"
    path.write_bytes(section.image.read_bytes())
    assert run("analyze", path, "--out", tmp_path / "results").exit_code == 0


class TestFibers:
    """Bring your own outlines; no network is needed."""

    def test_with_the_slide(self, section: DrawnSection, tmp_path: Path) -> None:
        out = tmp_path / "results"
        result = run("analyze", section.image, "--fibers", section.labels, "--out", out)
        assert result.exit_code == 0, result.output
        assert "12 fibers" in result.stdout

    def test_alone(self, section: DrawnSection, tmp_path: Path) -> None:
        out = tmp_path / "results"
        result = run("analyze", "--fibers", section.labels, "--mpp", "0.5", "--out", out)
        assert result.exit_code == 0, result.output
        assert (out / "section_labels" / "fibers.csv").is_file()

    def test_evaluate(self, section: DrawnSection, tmp_path: Path) -> None:
        out = tmp_path / "results"
        run("analyze", section.image, "--fibers", section.labels, "--out", out)
        table = tmp_path / "agreement.csv"
        result = run("evaluate", out / "section", section.labels, "--out", table)
        assert result.exit_code == 0, result.output
        assert re.search(r"^f1_50 +1$", result.stdout, re.MULTILINE)
        assert re.search(r"^count_error_percent +0$", result.stdout, re.MULTILINE)
        assert len(table.read_text(encoding="utf-8").splitlines()) == 3

    def test_evaluate_prints_before_it_writes(self, section: DrawnSection, tmp_path: Path) -> None:
        arguments = ("evaluate", section.labels, section.labels, "--mpp", "0.5")
        result = run(*arguments, "--out", tmp_path / "nowhere" / "agreement.csv")
        assert result.exit_code == 1
        assert re.search(r"^f1_50 +1$", result.stdout, re.MULTILINE)
        assert "agreement.csv: cannot be written" in result.stderr

    def test_evaluate_tells_that_pixel_sizes_differ(
        self, section: DrawnSection, tmp_path: Path
    ) -> None:
        truth = tmp_path / "truth.tif"
        write(truth, tifffile.imread(section.labels), mpp=0.6)
        predicted = tmp_path / "predicted.tif"
        write(predicted, tifffile.imread(section.labels), mpp=None)
        result = run("evaluate", predicted, truth, "--mpp", "0.5")
        assert result.exit_code == 0, result.output
        assert "warning: " in result.stderr
        assert "the given pixel size of 0.5 µm contradicts the 0.6 µm" in result.stderr

    def test_evaluate_asks_for_a_pixel_size_where_there_is_none(self, tmp_path: Path) -> None:
        labels = np.zeros((2, 80, 80), np.uint16)
        labels[0, 5:30, 5:30] = labels[1, 40:70, 40:70] = 1
        paths = tmp_path / "predicted.tif", tmp_path / "truth.tif"
        for known in (True, False):
            for path, image in zip(paths, labels, strict=True):
                write(path, image, mpp=0.5 if known else None)
            result = run("evaluate", *paths)
            assert result.exit_code == 0, result.output
            # that no fiber was found is no lack of a pixel size
            assert ("give it with --mpp" in result.stderr) is not known

    def test_evaluate_bad_file(self, section: DrawnSection, tmp_path: Path) -> None:
        (tmp_path / "bad.tif").write_text("no labels")
        result = run("evaluate", tmp_path / "bad.tif", section.labels)
        assert result.exit_code == 1
        assert "bad.tif" in result.stderr


def test_samples_and_models_are_listed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "truth").mkdir()
    (tmp_path / "a.tif").touch()
    (tmp_path / "muscle").mkdir()
    (tmp_path / "muscle" / "model.yaml").touch()
    monkeypatch.setattr("biopsy_ai.resources.bundled_folder", lambda kind, package=None: tmp_path)
    assert run("samples").stdout.split() == [str(tmp_path / "a.tif")]
    assert run("samples", tmp_path / "copy").stdout.split() == [str(tmp_path / "copy" / "a.tif")]
    assert run("models").stdout.split() == ["muscle", str(tmp_path / "muscle")]


def test_train(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for needed in ("torchvision", "tensorboard"):
        pytest.importorskip(needed)
    from biopsy_ai.training import TrainConfig

    asked: dict[str, Any] = {}

    def trains(out: Path, **options: Any) -> Path:
        asked.update(options)
        return out

    monkeypatch.setattr("biopsy_ai.training.train_model", trains)
    assert run("train", "--out", tmp_path / "mine").exit_code == 0
    assert asked["config"] == TrainConfig()
    assert asked["work"] is None
    assert asked["version"] == "1"
    options = ["--model-version", "2", "--outlines-license", "MIT", "--steps", "7"]
    assert run("train", "--out", tmp_path / "mine", *options).exit_code == 0
    assert (asked["version"], asked["outlines_license"]) == ("2", "MIT")
    assert asked["config"] == TrainConfig(steps=7)


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to a single process")
def test_interrupt_leaves_nothing_half_written(section: DrawnSection, tmp_path: Path) -> None:
    """A real Ctrl-C, at the moment at which the label image is being written."""
    started = tmp_path / "started"
    code = (
        "import pathlib, signal, sys, time\n"
        # a shell that runs the tests in the background makes its children ignore Ctrl-C
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import biopsy_ai.report.save as save\n"
        "def slow(path, labels, mpp, *_):\n"
        "    with save.replacing(path) as temporary:\n"
        "        temporary.write_bytes(b'half')\n"
        f"        pathlib.Path({str(started)!r}).touch()\n"
        "        for _ in range(600):\n"
        "            labels[:1, :1]\n"
        "            time.sleep(0.1)\n"
        "from biopsy_ai.formats.files import replacing\n"
        "save.replacing = replacing\n"
        "save.write_label_image = slow\n"
        "from biopsy_ai.cli import main\n"
        "main()\n"
    )
    out = tmp_path / "results"
    arguments = ["analyze", section.image, "--fibers", section.labels, "--out", out]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not started.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 130, printed
    assert "Stopped" in printed
    assert "Traceback" not in printed
    left = {path.name for path in out.rglob("*") if path.is_file()}
    assert not [name for name in left if name.startswith(".") or name == "fibers.tif"]
    assert "summary.json" not in left


def test_an_interruption_of_code_run_from_text_ends_with_the_same_exit_code(tmp_path: Path) -> None:
    """As where it falls into the making of a dataclass while modules are imported."""
    (tmp_path / "stopped.py").write_text(
        "import sys, typer\n"
        "from biopsy_ai.cli.reporting import command\n"
        "try:\n"
        "    with command(debug=False):\n"
        "        exec('raise KeyboardInterrupt')\n"
        "except typer.Exit as stop:\n"
        "    sys.exit(stop.exit_code)\n"
    )
    # as a module: Python looks at how a script ended otherwise
    arguments = [sys.executable, "-m", "stopped"]
    run = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert "Stopped" in run.stderr
    assert run.returncode == 130


def test_an_interruption_that_a_library_swallows_comes_back(
    request: pytest.FixtureRequest,
) -> None:
    """As where a library tries an import and catches whatever it raises."""
    # a shell that runs the tests in the background has them ignore Ctrl-C
    found = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, found))
    before = signal.getsignal(signal.SIGINT)
    bars = StageBars(quiet=True)
    with noting_interruption():
        bars("report", 0, 2)
        with contextlib.suppress(BaseException):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            bars("report", 1, 2)
    assert signal.getsignal(signal.SIGINT) is before
    with noting_interruption():
        StageBars(quiet=True)("report", 0, 2)


def test_readme_shows_commands_that_exist(repository: Path) -> None:
    text = (repository / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"^    biopsy-ai (\w+)(.*)$", text, re.MULTILINE)
    assert shown
    for command, rest in shown:
        known = run(command, "--help").output
        for option in re.findall(r"--[\w-]+", rest):
            assert option in known


def test_bars(capsys: pytest.CaptureFixture[str]) -> None:
    with StageBars(counter="slides") as bars:
        bars("slides", 0, 2)
        bars("segmentation", 0, 4)
        bars("segmentation", 4, 4)
        bars("slides", 1, 2)
        bars("measurement", 3, 3)
    printed = capsys.readouterr().err
    assert "[1/2] segmentation" in printed
    assert "4/4" in printed
    assert "[2/2] measurement" in printed
    with StageBars(quiet=True) as bars:
        bars("segmentation", 1, 2)
    assert capsys.readouterr().err == ""
