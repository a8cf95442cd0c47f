from __future__ import annotations

import threading

import pytest

from biopsy_ai import processors
from biopsy_ai.processors import InTurn, threads_beside, usable_cores, worker_threads


def test_at_least_one_core_may_be_used() -> None:
    assert usable_cores() >= 1


def test_with_one_core_all_is_done_in_the_thread_that_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for cores, here in ((1, True), (2, False)):
        monkeypatch.setattr(processors, "_share", cores)
        with threads_beside(2, "some") as threads:
            found = threads.submit(threading.get_ident).result(timeout=30)
        assert (found == threading.get_ident()) == here


def test_what_is_done_in_turn_gives_results_and_errors() -> None:
    with InTurn() as threads:
        assert threads.submit(divmod, 7, 2).result() == (3, 1)
        assert list(threads.map(abs, [-1, 2])) == [1, 2]
        failed = threads.submit(divmod, 1, 0)
        assert failed.done()
        with pytest.raises(ZeroDivisionError):
            failed.result()


def test_an_interruption_goes_to_who_asks() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        InTurn().submit(interrupted)


def test_threads_finish_their_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "_share", 2)
    done: list[int] = []
    with worker_threads("some", 2) as threads:
        for number in range(20):
            threads.submit(done.append, number)
    assert sorted(done) == list(range(20))


def test_a_map_stays_near_its_reader_and_keeps_the_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processors, "_share", 2)
    done: list[int] = []

    def double(number: int) -> int:
        done.append(number)
        return 2 * number

    with worker_threads("some", 2) as threads:
        results = threads.map(double, range(40))
        assert done == []
        assert [next(results), next(results)] == [0, 2]
        threads.submit(int).result(timeout=30)
        assert len(done) <= 6
        assert list(results) == [2 * number for number in range(2, 40)]
    assert sorted(done) == list(range(40))


def test_the_error_of_a_map_reaches_its_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "_share", 2)
    with worker_threads("some", 2) as threads:
        results = threads.map(divmod, [4, 4], [2, 0])
        assert next(results) == (2, 0)
        with pytest.raises(ZeroDivisionError):
            next(results)


def test_threads_drop_their_queue_when_something_goes_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processors, "_share", 2)
    begun, go_on = threading.Event(), threading.Event()
    done: list[int] = []

    def first() -> None:
        begun.set()
        go_on.wait(30)

    def fail() -> None:
        with worker_threads("some", 1) as threads:
            threads.submit(first)
            for number in range(20):
                threads.submit(done.append, number)
            assert begun.wait(30)
            threading.Timer(0.2, go_on.set).start()
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert done == []
