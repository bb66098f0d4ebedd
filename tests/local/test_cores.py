"""No more threads hold cores than there are cores, in whatever process, and a dead process holds none."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

from local.backends.onnxruntime.cores import Cores

HOLDER = """
import sys, time
from pathlib import Path
from local.backends.onnxruntime.cores import Cores
with Cores(Path(sys.argv[1]), 2).held(2) as held:
    print(held, flush=True)
    time.sleep(600)
"""


def test_takes_what_is_free_and_never_waits_for_a_second(tmp_path: Path) -> None:
    first, second, third = (Cores(tmp_path, 3) for _ in range(3))
    with first.held(1) as one, second.held(8) as two:
        assert (one, two) == (1, 2)
    with third.held(8) as all_of_them:
        assert all_of_them == 3


def test_never_more_at_work_than_there_are_cores(tmp_path: Path) -> None:
    lock, now, most = threading.Lock(), 0, 0

    def work() -> None:
        nonlocal now, most
        cores = Cores(tmp_path, 2)
        for _ in range(20):
            with cores.held(1) as held:
                with lock:
                    now += held
                    most = max(most, now)
                time.sleep(0.001)
                with lock:
                    now -= held

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 2


def test_the_next_to_be_free_is_taken_whichever_it_is(tmp_path: Path) -> None:
    first, second, waiting = (Cores(tmp_path, 2) for _ in range(3))
    taken = threading.Event()

    def wait() -> None:
        with waiting.held(1):
            taken.set()

    with first.held(1):
        with second.held(1):
            thread = threading.Thread(target=wait)
            thread.start()
            assert not taken.wait(0.2)
        assert taken.wait(10)
    thread.join()


def test_a_killed_process_gives_its_cores_back(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "2\n"
    cores = Cores(tmp_path, 2)
    threading.Timer(0.2, holder.kill).start()
    with cores.held(1) as held:  # waits until the kill
        assert holder.wait(10) < 0
        assert held >= 1
    holder.stdout.close()


def test_the_bell_may_be_full(tmp_path: Path) -> None:
    cores = Cores(tmp_path, 1)
    for _ in range(66_000):  # a pipe holds 65,536 rings
        with cores.held(1) as held:
            assert held == 1
