"""What the scripts demo and test install, tried with commands that only take notes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the scripts are for Linux and macOS")

# OpenCV can be imported once the Debian packages are there.
PYTHON = """#!/bin/sh
echo "python $*" >>"$NOTES"
case "$*" in
"-c import cv2") [ -e "$NOTES.debian" ] || { echo "libGL.so.1 is missing" >&2; exit 1; } ;;
esac
"""
APT_GET = """#!/bin/sh
echo "apt-get $*" >>"$NOTES"
case "$*" in install*) : >"$NOTES.debian" ;; esac
"""


class Checkout:
    """A checkout with a .venv, whose commands are fakes."""

    def __init__(self, folder: Path, repository: Path) -> None:
        self.folder = folder
        self.notes = folder / "notes"
        shutil.copytree(repository / "scripts", folder / "scripts")
        shutil.copyfile(repository / "pyproject.toml", folder / "pyproject.toml")
        for name in ("sh", "cat", "cksum", "dirname", "grep"):
            self.command(name).symlink_to(str(shutil.which(name)))
        self.fake(folder / ".venv" / "bin" / "python", PYTHON)
        self.fake(self.command("apt-get"), APT_GET)
        self.fake(self.command("dpkg-query"), "#!/bin/sh\nexit 1\n")
        self.user(0)

    def command(self, name: str) -> Path:
        path = self.folder / "commands" / name
        path.parent.mkdir(exist_ok=True)
        return path

    def fake(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def user(self, number: int) -> None:
        self.fake(self.command("id"), f"#!/bin/sh\necho {number}\n")

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        self.notes.write_text("")
        return subprocess.run(
            [self.command("sh"), self.folder / "scripts" / script],
            env={"PATH": str(self.folder / "commands"), "NOTES": str(self.notes)},
            capture_output=True,
            text=True,
            check=False,
        )

    def noted(self, words: str) -> list[str]:
        return [line for line in self.notes.read_text().splitlines() if words in line]


@pytest.fixture
def checkout(tmp_path: Path, repository: Path) -> Checkout:
    return Checkout(tmp_path, repository)


def test_demo_installs_no_extras_and_test_completes_them(checkout: Checkout) -> None:
    assert checkout.run("demo").returncode == 0
    (install,) = checkout.noted("pip install")
    assert install.endswith(" -e .")
    assert checkout.run("demo").returncode == 0
    assert not checkout.noted("pip install")

    assert checkout.run("test").returncode == 0
    (install,) = checkout.noted("pip install")
    assert install.endswith(" -e .[napari,train,test]")
    for script in ("test", "demo"):
        assert checkout.run(script).returncode == 0
        assert not checkout.noted("pip install")


def test_demo_is_content_with_what_test_installed(checkout: Checkout) -> None:
    checkout.run("test")
    checkout.run("demo")
    assert not checkout.noted("pip install")
    with open(checkout.folder / "pyproject.toml", "a") as file:
        file.write("# changed\n")
    checkout.run("demo")
    assert checkout.noted("pip install")


@pytest.mark.parametrize("script", ["demo", "test"])
def test_root_gets_what_opencv_needs(checkout: Checkout, script: str) -> None:
    done = checkout.run(script)
    assert done.returncode == 0, done.stderr
    (install,) = checkout.noted("apt-get install")
    assert {"libgl1", "libglib2.0-0"} <= set(install.split())
    assert ("xvfb" in install) is (script == "test")


@pytest.mark.parametrize("script", ["demo", "test"])
def test_others_are_told_what_opencv_needs(checkout: Checkout, script: str) -> None:
    checkout.user(1000)
    for _ in range(2):
        done = checkout.run(script)
        assert done.returncode == 1
        assert "libGL.so.1 is missing" in done.stderr
        assert "sudo apt-get install libgl1 libglib2.0-0" in done.stderr
        assert not checkout.noted("apt-get")


def test_nothing_is_asked_of_debian_where_opencv_loads(checkout: Checkout) -> None:
    Path(f"{checkout.notes}.debian").touch()
    assert checkout.run("demo").returncode == 0
    assert not checkout.noted("apt-get")
