"""What a user gets who installs the package, tried in environments that do not see the checkout."""

from __future__ import annotations

import ast
import csv
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

import biopsy_ai

pytestmark = pytest.mark.timeout(600)


def run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    environment |= {"PYTHONUTF8": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def succeed(*command: str | Path, cwd: Path | None = None) -> str:
    done = run(*command, cwd=cwd)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Environment:
    """A virtual environment with the dependencies of the tests, but not the checkout."""

    folder: Path

    @property
    def scripts(self) -> Path:
        return self.folder / ("Scripts" if os.name == "nt" else "bin")

    @property
    def python(self) -> Path:
        return self.scripts / ("python.exe" if os.name == "nt" else "python")

    @property
    def command(self) -> Path:
        return self.scripts / ("biopsy-ai.exe" if os.name == "nt" else "biopsy-ai")

    def install(self, *arguments: str | Path) -> None:
        pip = (sys.executable, "-m", "pip", "--python", self.python, "install", "-q")
        # The environment sees the project's metadata among the dependencies; leave that alone.
        succeed(*pip, "--no-deps", "--no-index", "--ignore-installed", *arguments)

    def evaluate(self, code: str) -> object:
        printed = succeed(self.python, "-I", "-c", f"import json; print(json.dumps({code}))")
        return json.loads(printed)


def make_environment(folder: Path) -> Environment:
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    environment = Environment(folder)
    site = Path(
        succeed(
            environment.python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"
        ).strip()
    )
    here = {sysconfig.get_paths()[key] for key in ("purelib", "platlib")}
    # Python does not follow .pth files of folders named in a .pth file, such as the one that
    # leads to the checkout.
    (site / "dependencies.pth").write_text("\n".join(sorted(here)))
    return environment


@pytest.fixture(scope="session")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    options = ("--no-deps", "--no-build-isolation", "--no-index", "-q", "-w", folder)
    succeed(sys.executable, "-m", "pip", "wheel", *options, repository)
    (built,) = folder.glob("biopsy_ai-*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    environment = make_environment(tmp_path_factory.mktemp("installed") / "venv")
    environment.install(wheel)
    return environment


def require_bundled(repository: Path) -> Path:
    """Return the smallest sample slide; without model and samples there is nothing to ship."""
    if not (repository / "models" / "muscle" / "model.yaml").is_file():
        pytest.fail("models/muscle is missing: the wheel would have no model")
    slides = list((repository / "data" / "sample_slides").glob("*.tif"))
    if not slides:
        pytest.fail("data/sample_slides holds no .tif: the wheel would have no samples")
    return min(slides, key=lambda path: path.stat().st_size)


def test_version_is_the_same_everywhere(repository: Path) -> None:
    citation = yaml.safe_load((repository / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == biopsy_ai.__version__
    assert importlib.metadata.version("biopsy-ai") == biopsy_ai.__version__
    changelog = (repository / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{biopsy_ai.__version__}] - {citation['date-released']}\n" in changelog


def test_wheel_content(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "biopsy_ai/py.typed",
        "biopsy_ai/cli/__init__.py",
        "napari_plugin/napari.yaml",
    } <= names
    tops = {name.split("/")[0] for name in names}
    assert tops == {
        "biopsy_ai",
        "napari_plugin",
        f"biopsy_ai-{biopsy_ai.__version__}.dist-info",
    }


def test_wheel_holds_every_data_file_of_the_package(wheel: Path, repository: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for package in ("biopsy_ai", "napari_plugin"):
        for path in (repository / package).rglob("*.yaml"):
            assert path.relative_to(repository).as_posix() in names


def test_wheel_finds_models_and_samples(installed: Environment, repository: Path) -> None:
    require_bundled(repository)
    package = Path(str(installed.evaluate("__import__('biopsy_ai').__file__"))).parent
    assert package.is_relative_to(installed.folder.resolve())
    paths = installed.evaluate("__import__('sys').path")
    assert isinstance(paths, list)
    assert str(repository) not in paths
    ask = "__import__('biopsy_ai.resources').resources"
    models = Path(str(installed.evaluate(f"str({ask}.bundled('models', 'muscle'))")))
    assert models == package / "_bundled" / "models" / "muscle"
    samples = installed.evaluate(f"[str(path) for path in {ask}.sample_slides()]")
    assert isinstance(samples, list)
    assert samples
    assert all(Path(sample).is_relative_to(package / "_bundled") for sample in samples)


def test_editable_install_finds_models_and_samples(repository: Path, tmp_path: Path) -> None:
    environment = make_environment(tmp_path / "venv")
    environment.install("--no-build-isolation", "-e", repository)
    ask = "__import__('biopsy_ai.resources').resources"
    for kind, folder in (("models", "models"), ("sample_slides", "data/sample_slides")):
        found = environment.evaluate(f"str({ask}.bundled_folder({kind!r}))")
        assert Path(str(found)) == repository / folder


def test_wheel_does_the_main_job(installed: Environment, repository: Path, tmp_path: Path) -> None:
    sample = require_bundled(repository)
    slide = tmp_path / "Schnitt 1 – Müller.tif"
    shutil.copyfile(sample, slide)
    out = tmp_path / "my results"
    command = (installed.command, "analyze", slide, "--out", out, "--device", "cpu")
    printed = succeed(*command, cwd=tmp_path)
    assert slide.name in printed
    folder = out / slide.stem
    files = {path.name for path in folder.iterdir()}
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert files == {*summary["files"], "summary.json"}
    expected = {"fibers.csv", "fibers.tif", "fibers.geojson", "RoiSet.zip", "overlay.png"}
    assert files >= expected | {"summary.json", "tissue.tif", "overlay_tissue.png"}
    with open(folder / "fibers.csv", encoding="utf-8", newline="") as file:
        fibers = list(csv.DictReader(file))
    assert len(fibers) >= 10
    assert all(float(row["area_um2"]) > 0 for row in fibers)
    with open(out / "cohort.csv", encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["status"] == "ok"
    assert int(row["n_fibers"]) == len(fibers)


def test_command_of_the_wheel(installed: Environment) -> None:
    assert biopsy_ai.__version__ in succeed(installed.command, "--version")
    assert biopsy_ai.__version__ in succeed(installed.python, "-m", "biopsy_ai", "--version")


@pytest.mark.parametrize(
    "code",
    [
        "import biopsy_ai",
        "import biopsy_ai.cli",
        "import biopsy_ai; [getattr(biopsy_ai, name) for name in biopsy_ai.__all__]",
    ],
)
def test_importing_loads_nothing_heavy(code: str) -> None:
    loaded = set(succeed(sys.executable, "-c", f"{code}; import sys; print(*sys.modules)").split())
    assert not loaded & {"torch", "cv2", "matplotlib", "napari", "qtpy", "napari_plugin"}


def test_importing_the_command_line_is_light() -> None:
    loaded = succeed(sys.executable, "-c", "import biopsy_ai.cli, sys; print(*sys.modules)").split()
    assert not set(loaded) & {"numpy", "scipy", "pandas", "skimage", "yaml", "tifffile", "zarr"}


def test_public_names() -> None:
    assert set(biopsy_ai.__all__) <= set(dir(biopsy_ai))
    for name in biopsy_ai.__all__:
        assert getattr(biopsy_ai, name) is not None
    with pytest.raises(AttributeError, match="nothing_of_this_name"):
        biopsy_ai.nothing_of_this_name  # noqa: B018


def imported_by(folder: Path) -> set[str]:
    """Names of all packages that the modules in a folder import."""
    names: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(str(node.module).split(".")[0])
    return names - set(sys.stdlib_module_names) - {"biopsy_ai", "napari_plugin"}


def test_the_core_knows_nothing_of_the_window(repository: Path) -> None:
    window = {"napari", "qtpy", "magicgui", "PySide6", "PyQt6"}
    assert not imported_by(repository / "biopsy_ai") & window


def test_everything_imported_is_declared(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {re.split(r"[^\w-]", line)[0].lower() for line in project["dependencies"]}
    distributions = {
        "PIL": "pillow",
        "cv2": "opencv-python",
        "openslide": "openslide-python",
        "skimage": "scikit-image",
        "yaml": "pyyaml",
    }
    # for training and for exporting a model, in the extras of that name
    extras = project["optional-dependencies"]
    optional = {re.split(r"[^\w-]", line)[0].lower() for line in extras["train"] + extras["export"]}
    for name in imported_by(repository / "biopsy_ai") - optional:
        assert distributions.get(name, name) in declared


@pytest.mark.skipif(os.name == "nt", reason="the scripts are for Linux and macOS")
@pytest.mark.parametrize("script", ["demo", "test"])
def test_scripts_tell_when_python_is_missing(repository: Path, tmp_path: Path, script: str) -> None:
    shutil.copytree(repository / "scripts", tmp_path / "scripts")
    commands = tmp_path / "commands"
    commands.mkdir()
    for name in ("dirname", "sh"):
        (commands / name).symlink_to(str(shutil.which(name)))
    done = subprocess.run(
        [str(commands / "sh"), str(tmp_path / "scripts" / script)],
        env={"PATH": str(commands)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed" in done.stderr
