"""Whole runs with real processes and the real network, on small synthetic sections."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

N = 4


def start(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    # a shell that runs the tests in the background has every child ignore Ctrl-C
    code = (
        "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "runpy.run_module('biopsy_ai', run_name='__main__', alter_sys=True)"
    )
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def run(*arguments: object) -> tuple[int, str, str]:
    """Run the program; gives exit code, standard output and standard error."""
    process = start(*arguments)
    try:
        out, err = process.communicate(timeout=500)
    finally:
        process.kill()
    return process.returncode, out, err


def record(out: Path) -> dict[str, Any]:
    content = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def states(out: Path) -> dict[str, str]:
    return {slide["name"]: slide["state"] for slide in record(out)["slides"]}


def wait_for(happens: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 200
    while not happens():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def is_running(out: Path, number: int = 1) -> bool:
    """Whether some slide is analyzed right now, after so many were finished."""
    try:
        found = states(out)
    except (OSError, ValueError):
        return False
    values = list(found.values())
    return "running" in values and values.count("ok") >= number


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slides")
    code, _, err = run("synthesize", "--out", folder, "--size", 220, "--n", N, "--seed", 5)
    assert code == 0, err
    shutil.rmtree(folder / "truth")
    return folder


@pytest.fixture(scope="module")
def undisturbed(slides: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of one worker."""
    out = tmp_path_factory.mktemp("undisturbed")
    code, _, err = run("analyze", slides, "--out", out, "--workers", 1, "--threads", 1)
    assert code == 0, err
    assert set(states(out).values()) == {"ok"}
    return out


@pytest.fixture
def digests(load: Callable[[str], Any]) -> Callable[[Path], dict[str, str]]:
    found: Callable[[Path], dict[str, str]] = load("result_digests").digests
    return found


@pytest.fixture
def unreadable(load: Callable[[str], Any]) -> Callable[[Path], list[str]]:
    found: Callable[[Path], list[str]] = load("result_digests").unreadable
    return found


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    """A scheduler and two workers, as a cluster has them."""
    file = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker"]
    quiet: dict[str, Any] = {"stderr": subprocess.DEVNULL, "cwd": tmp_path}
    local = ["--host", "127.0.0.1"]
    processes = [
        subprocess.Popen(
            [*dask, *local, "--port", "0", "--no-dashboard", "--scheduler-file", file], **quiet
        )
    ]
    try:
        named = ["--scheduler-file", file, "--no-dashboard", "--nthreads", "1"]
        for _ in range(2):
            processes.append(subprocess.Popen([*worker, *local, *named], **quiet))
        end = time.monotonic() + 60
        while not file.exists():
            assert time.monotonic() < end
            time.sleep(0.1)
        time.sleep(0.2)
        yield json.loads(file.read_text())["address"]
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in reversed(processes):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


class TestSameResults:
    def test_with_two_workers(
        self, slides: Path, undisturbed: Path, tmp_path: Path, digests: Callable[..., Any]
    ) -> None:
        arguments = ("analyze", slides, "--out", tmp_path, "--workers", 2, "--threads", 1)
        code, out, err = run(*arguments, "--log", "json")
        assert code == 0, err
        assert digests(tmp_path) == digests(undisturbed)
        events = [json.loads(line) for line in out.splitlines()]
        standing = [event for event in events if event["event"] == "cohort"]
        assert (standing[0]["done"], standing[0]["left"]) == (0, N)
        assert (standing[-1]["done"], standing[-1]["left"]) == (N, 0)
        assert standing[-1]["fibers_per_s"] > 0
        assert len([event for event in events if event["event"] == "slide"]) == N
        told = record(tmp_path)
        assert told["state"] == "finished"
        assert (told["workers"], told["threads"]) == (2, 1)
        for slide in told["slides"]:
            assert slide["attempts"] == 1
            assert slide["seconds"] > 0
            assert slide["peak_memory_bytes"] > 1e8
        cohort = pd.read_csv(tmp_path / "cohort.csv")
        assert list(cohort["folder"]) == list(pd.read_csv(undisturbed / "cohort.csv")["folder"])

    def test_with_a_scheduler(
        self,
        slides: Path,
        undisturbed: Path,
        tmp_path: Path,
        scheduler: str,
        digests: Callable[..., Any],
    ) -> None:
        out = tmp_path / "out"
        code, _, err = run("analyze", slides, "--out", out, "--scheduler", scheduler)
        assert code == 0, err
        assert digests(out) == digests(undisturbed)
        assert len({slide["worker"] for slide in record(out)["slides"]}) == 2
        code, printed, err = run("analyze", slides, "--out", out, "--scheduler", scheduler)
        assert code == 0, err
        assert printed.count("same result already there") == N


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
class TestSurvival:
    def test_a_worker_is_killed(
        self, slides: Path, undisturbed: Path, tmp_path: Path, digests: Callable[..., Any]
    ) -> None:
        process = start("analyze", slides, "--out", tmp_path, "--workers", 2, "--threads", 1)
        wait_for(lambda: is_running(tmp_path, 1), process)
        workers_of(process)[0].send_signal(signal.SIGKILL)
        _, err = process.communicate(timeout=500)
        assert process.returncode == 0, err
        # killed after its last file and before it told so, a slide is found done
        for slide in record(tmp_path)["slides"]:
            assert slide["state"] == "ok" or (slide["state"], slide["attempts"]) == ("skipped", 2)
        assert digests(tmp_path) == digests(undisturbed)

    def test_the_program_is_killed_and_started_again(
        self,
        slides: Path,
        undisturbed: Path,
        tmp_path: Path,
        digests: Callable[..., Any],
        unreadable: Callable[[Path], list[str]],
    ) -> None:
        arguments = ("analyze", slides, "--out", tmp_path, "--workers", 2, "--threads", 1)
        process = start(*arguments)
        wait_for(lambda: is_running(tmp_path, 1), process)
        workers = workers_of(process)
        process.kill()
        process.communicate()
        psutil.wait_procs(workers, timeout=20)
        assert not any(worker.is_running() for worker in workers)
        code, printed, err = run(*arguments)
        assert code == 0, err
        assert "same result already there" in printed
        assert unreadable(tmp_path) == []
        assert digests(tmp_path) == digests(undisturbed)

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_it_stops_when_asked(
        self, slides: Path, tmp_path: Path, number: signal.Signals
    ) -> None:
        arguments = ("analyze", slides, "--out", tmp_path, "--workers", 2, "--threads", 1)
        process = start(*arguments, start_new_session=True)
        wait_for(lambda: is_running(tmp_path, 0), process)
        time.sleep(2)
        workers = workers_of(process)
        # Ctrl-C in a terminal reaches all processes of a program
        os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
        assert "Stopped." in err
        assert not any(worker.is_running() for worker in workers)
        assert [str(path) for path in tmp_path.rglob(".*")] == []
        told = record(tmp_path)
        assert told["state"] == "stopped"
        assert "running" not in states(tmp_path).values()


def test_broken_slides_are_reported_by_name(
    slides: Path, tmp_path: Path, load: Callable[[str], Any]
) -> None:
    broken = load("broken_slides").break_slides(tmp_path / "slides")
    for path in sorted(slides.glob("*.tif"))[:2]:
        shutil.copy(path, tmp_path / "slides")
    out = tmp_path / "out"
    pattern = tmp_path / "slides" / "*.tif"
    code, _, err = run("analyze", pattern, "--out", out, "--workers", 2, "--quiet")
    assert code == 1, err
    for name, word in broken.items():
        (line,) = [line for line in err.splitlines() if line.startswith(f"{name}: failed: ")]
        assert word in line
    assert "10 of 12 failed" in err
    found = {slide["name"]: slide for slide in record(out)["slides"]}
    assert {name for name, slide in found.items() if slide["state"] == "failed"} == set(broken)
    assert all(found[name]["reason"] for name in broken)
    assert (record(out)["done"], record(out)["failed"]) == (2, 10)
    assert sum(pd.read_csv(out / "cohort.csv")["status"] == "failed") == 10


class TestClusterThatDoesNotFit:
    def test_no_scheduler(self, slides: Path, tmp_path: Path) -> None:
        code, _, err = run("analyze", slides, "--out", tmp_path, "--scheduler", "tcp://127.0.0.1:9")
        assert code == 1
        assert "no Dask scheduler answers there" in err

    def test_folders_that_workers_do_not_see(
        self, slides: Path, tmp_path: Path, scheduler: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from biopsy_ai.errors import ClusterError
        from biopsy_ai.parallel import WorkerPlan, Workers, remote_workers

        plan = WorkerPlan(None, None, None, scheduler)
        paths = sorted(slides.glob("*.tif"))
        with Workers(plan, tmp_path, paths) as workers:
            while len(workers.alive()) < 2:
                time.sleep(0.1)
        monkeypatch.setattr(remote_workers, "__version__", "99.0")
        with pytest.raises(ClusterError, match=r"is installed there, and 99\.0 here"):
            Workers(plan, tmp_path, paths).__enter__()
        monkeypatch.undo()
        real = remote_workers._question
        monkeypatch.setattr(
            remote_workers, "_question", lambda slides, token: real(["/nowhere/a.tif"], token)
        )
        with pytest.raises(ClusterError, match=r"does not see /nowhere/a\.tif"):
            Workers(plan, tmp_path, paths).__enter__()
        monkeypatch.setattr(
            remote_workers, "_question", lambda slides, token: real(slides, "/nowhere/x")
        )
        with pytest.raises(ClusterError, match="cannot write to"):
            Workers(plan, tmp_path, paths).__enter__()


def test_a_large_slide_is_shared_out(tmp_path: Path, digests: Callable[..., Any]) -> None:
    """Idle workers predict tiles of a slide, and the result is the same."""
    code, _, err = run("synthesize", "--out", tmp_path / "slides", "--size", 1300, "--seed", 3)
    assert code == 0, err
    (tmp_path / "lab.yaml").write_text("segmentation:\n  tile_px: 512\n  overlap_px: 64\n")
    (slide,) = (tmp_path / "slides").glob("*.tif")
    for workers in (1, 2):
        wish = ("--workers", workers, "--threads", 1, "--config", tmp_path / "lab.yaml")
        code, _, err = run("analyze", slide, "--out", tmp_path / str(workers), *wish)
        assert code == 0, err
    assert digests(tmp_path / "2") == digests(tmp_path / "1")


def test_blocks_of_a_sample_sheet(slides: Path, tmp_path: Path) -> None:
    """Sections of a block are joined, or refused, on workers as in one process."""
    first, second, third, _ = sorted(slides.glob("*.tif"))
    sheet = tmp_path / "sections.csv"
    rows = [f"{first},B1", f"{second},B1", f"{third},"]
    sheet.write_text("\n".join(["path,block", *rows]) + "\n", encoding="utf-8")
    said = []
    for workers in (1, 2):
        out = tmp_path / str(workers)
        code, _, err = run("analyze", sheet, "--out", out, "--workers", workers, "--quiet")
        assert code == 1, err
        assert set(states(out).values()) == {"ok"}
        said += [[line for line in err.splitlines() if line.startswith("block B1: failed")]]
        registration = json.loads((out / "B1" / "registration.json").read_text(encoding="utf-8"))
        assert registration["block"] == "B1"
    assert said[0] == said[1]
    assert len(said[0]) == 1
