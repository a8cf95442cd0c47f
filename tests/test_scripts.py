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
# What a Python without ensurepip leaves behind: an interpreter and no pip.
HALF_MADE = """#!/bin/sh
echo "half-made $*" >>"$NOTES"
echo "No module named pip" >&2
exit 1
"""
# Debian's own Python, which makes whole environments once python3-venv is there.
SYSTEM_PYTHON = """#!/bin/sh
echo "system $*" >>"$NOTES"
case "$*" in
"-m venv .venv")
    mkdir -p .venv/bin
    [ -e "$NOTES.venv" ] || { cp half-made .venv/bin/python; echo "ensurepip is missing"; exit 1; }
    cp whole .venv/bin/python ;;
esac
"""
APT_GET = """#!/bin/sh
echo "apt-get $*" >>"$NOTES"
case "$*" in
install*-venv*) : >"$NOTES.venv" ;;
install*) : >"$NOTES.debian" ;;
esac
"""


class Checkout:
    """A checkout with a .venv, whose commands are fakes."""

    def __init__(self, folder: Path, repository: Path) -> None:
        self.folder = folder
        self.notes = folder / "notes"
        shutil.copytree(repository / "scripts", folder / "scripts")
        shutil.copyfile(repository / "pyproject.toml", folder / "pyproject.toml")
        for name in ("sh", "cat", "cksum", "cp", "dirname", "grep", "mkdir", "rm"):
            self.command(name).symlink_to(str(shutil.which(name)))
        self.python = folder / ".venv" / "bin" / "python"
        self.fake(self.python, PYTHON)
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

    def without_environment(self) -> None:
        """Take .venv away, and give a Python that can make one."""
        shutil.rmtree(self.folder / ".venv")
        self.fake(self.folder / "whole", PYTHON)
        self.fake(self.folder / "half-made", HALF_MADE)
        self.fake(self.command("python3"), SYSTEM_PYTHON)
        Path(f"{self.notes}.debian").touch()

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
    assert install.endswith(" -e .[export,gui,train,test]")
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


@pytest.mark.parametrize("script", ["demo", "test"])
def test_root_gets_what_the_environment_needs(checkout: Checkout, script: str) -> None:
    checkout.without_environment()
    done = checkout.run(script)
    assert done.returncode == 0, done.stderr
    assert checkout.noted("apt-get install")[0].split()[-1] == "python3-venv"
    assert len(checkout.noted("system -m venv")) == 2
    assert len(checkout.noted("pip install")) == 1


@pytest.mark.parametrize("script", ["demo", "test"])
def test_others_are_told_what_the_environment_needs_and_can_go_on(
    checkout: Checkout, script: str
) -> None:
    checkout.without_environment()
    checkout.user(1000)
    for _ in range(2):
        done = checkout.run(script)
        assert done.returncode == 1
        assert "ensurepip is missing" in done.stdout
        assert "sudo apt-get install python3-venv" in done.stderr
        assert not checkout.noted("apt-get")
        assert not (checkout.folder / ".venv").exists()
    Path(f"{checkout.notes}.venv").touch()
    done = checkout.run(script)
    assert done.returncode == 0, done.stderr
    assert len(checkout.noted("pip install")) == 1


def test_another_python_has_another_package(checkout: Checkout) -> None:
    checkout.without_environment()
    checkout.command("python3").rename(checkout.command("python3.12"))
    assert checkout.run("demo").returncode == 0
    assert checkout.noted("apt-get install")[0].split()[-1] == "python3.12-venv"


def test_a_half_made_environment_is_made_anew(checkout: Checkout) -> None:
    checkout.without_environment()
    Path(f"{checkout.notes}.venv").touch()
    checkout.fake(checkout.python, HALF_MADE)
    done = checkout.run("demo")
    assert done.returncode == 0, done.stderr
    assert len(checkout.noted("system -m venv")) == 1
    assert len(checkout.noted("pip install")) == 1


def test_an_environment_whose_python_was_replaced_is_made_anew(checkout: Checkout) -> None:
    assert checkout.run("test").returncode == 0
    stamps = list((checkout.folder / ".venv").glob("installed-*"))
    assert stamps
    content = stamps[0].read_text()
    checkout.without_environment()
    Path(f"{checkout.notes}.venv").touch()
    checkout.fake(checkout.python, HALF_MADE)
    stamps[0].write_text(content)
    (checkout.folder / ".venv/lib/python3.11/site-packages/numpy-2.0.dist-info").mkdir(parents=True)
    assert checkout.run("test").returncode == 0
    assert len(checkout.noted("pip install")) == 1


def test_what_another_tool_installed_is_not_removed(checkout: Checkout) -> None:
    checkout.without_environment()
    checkout.fake(checkout.python, HALF_MADE)
    kept = checkout.folder / ".venv/lib/python3.12/site-packages/numpy-2.0.dist-info"
    kept.mkdir(parents=True)
    done = checkout.run("demo")
    assert done.returncode == 1
    assert "no pip that works" in done.stderr
    assert kept.is_dir()
    assert not checkout.noted("apt-get")


@pytest.mark.parametrize("given", [None, "/elsewhere", ""])
def test_checks_use_real_images_beside_the_checkout(
    tmp_path: Path, repository: Path, given: str | None
) -> None:
    if not (repository / ".ci" / "run").is_file():
        pytest.skip("the checks are not part of this installation")
    checkout = tmp_path / "checkout"
    (checkout / "scripts").mkdir(parents=True)
    shutil.copytree(repository / ".ci", checkout / ".ci")
    fake = checkout / "scripts" / "test"
    fake.write_text('#!/bin/sh\necho "${BIOPSY_AI_REAL_DATA-not set}"\nexit 3\n')
    fake.chmod(0o755)

    def run() -> str:
        environment = {"PATH": os.environ["PATH"]}
        if given is not None:
            environment["BIOPSY_AI_REAL_DATA"] = given
        done = subprocess.run(
            [checkout / ".ci" / "run"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 3, done.stderr
        return done.stdout.removesuffix("\n")

    assert run() == ("not set" if given is None else given)
    data = tmp_path / "shared" / "data"
    data.mkdir(parents=True)
    if given is None:
        assert Path(run()).resolve() == data
    else:
        assert run() == given
