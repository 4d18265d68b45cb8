"""Ends a training of several processes in which one hangs, in bounded time, and says which one it is.

    with Watchdog(timeout=600) as watchdog:
        ...
        watchdog.progress(step)        # whenever a process has got on

A process that waits for another one waits inside a library, without end or until that library gives up with a page of
its own. So a thread in each process tells the others, through the store that they found each other with, that the
process lives and how far it has come. When a process has not got on for `timeout` seconds its thread looks at what the
others told, and ends the process.
"""

import os
import sys
import threading
import time

import torch.distributed as dist

POLLS = 20  # in the timeout
FAREWELL_SECONDS = 1.0  # the process that speaks stays so long, so that the others hear that it has spoken


class Watchdog:
    """A thread that watches this process; without other processes it does nothing."""

    def __init__(self, timeout: float):
        """timeout: seconds without progress."""
        self._timeout, self._pause = timeout, min(timeout / POLLS, 5.0)
        self._step, self._count, self._beat = 0, 0, 0
        self._ended, self._thread = threading.Event(), None

    def __enter__(self) -> "Watchdog":
        if dist.is_initialized() and dist.get_world_size() > 1:
            # A connection of its own: the main thread's is locked while it waits for an answer.
            self._store = dist.PrefixStore("watchdog", dist.distributed_c10d._get_default_store()).clone()
            self._rank, self._world = dist.get_rank(), dist.get_world_size()
            self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._ended.set()
        if self._thread:
            self._thread.join()

    def progress(self, step: int) -> None:
        """This process has got on, and works on optimiser step `step`."""
        self._step, self._count = step, self._count + 1

    def _watch(self) -> None:
        seen, since = -1, time.monotonic()
        while not self._ended.wait(self._pause):
            if self._count != seen:
                seen, since = self._count, time.monotonic()
            overdue = time.monotonic() - since > self._timeout
            try:
                self._tell()
                why = self._verdict() if overdue else ""
            except RuntimeError:  # the store's machine is gone
                why = "the first machine does not answer"
            if overdue:
                self._end(why)

    def _tell(self) -> None:
        """A count of this thread's rounds, one of the process's progress, and its step."""
        self._beat += 1
        self._store.set(str(self._rank), f"{self._beat} {self._count} {self._step}")

    def _told(self) -> dict[int, tuple[int, ...]]:
        """What each process told last."""
        ranks = [rank for rank in range(self._world) if self._store.check([str(rank)])]
        return {rank: tuple(map(int, self._store.get(str(rank)).split())) for rank in ranks}

    def _verdict(self) -> str:
        """Who does not answer, or else who is behind."""
        before = self._told()
        for _ in range(5):  # rounds in which one that lives tells something new
            time.sleep(self._pause)
            self._tell()
        now = self._told()
        silent = [
            rank
            for rank in range(self._world)
            if rank != self._rank and now.get(rank, ())[:1] == before.get(rank, ())[:1]
        ]
        if silent:
            listed = ", ".join(map(str, silent))
            return f"process {listed} of {self._world} does not answer: it is stopped, or its machine is gone"
        if len({count for _, count, _ in now.values()}) > 1:
            behind = min(now, key=lambda rank: now[rank][1])
            return f"process {behind} of {self._world} does not get on from step {now[behind][2]}"
        return "all processes wait for each other: the network between them hangs, or a disk"

    def _end(self, why: str) -> None:
        if self._ended.is_set():
            return
        try:
            speaks = self._store.add("speakers", 1) == 1
        except RuntimeError:
            speaks = True
        if speaks:
            print(
                f"error: no progress for {self._timeout:g} s: {why}; look at that machine's log, GPU and disk, and run the "
                "same command again: it goes on from the last whole checkpoint (DIST_TIMEOUT in .env is how long to wait)",
                file=sys.stderr,
                flush=True,
            )
            time.sleep(FAREWELL_SECONDS)
        sys.stdout.flush()
        os._exit(1)  # the main thread sits in a library
