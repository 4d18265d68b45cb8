"""`asr.pool.in_order` on a Ray cluster: the same function, the same order, the same results, on many machines.

    RAY_ADDRESS=head:6379 python scripts/prepare_audio.py --executor ray

Without RAY_ADDRESS Ray starts on this machine alone. The cluster's machines must see the repository and the data under the
same paths (a shared file system), and have requirements_training.txt and requirements_cluster.txt installed.
"""

import os
import re
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from asr.errors import UserError

T = TypeVar("T")
R = TypeVar("R")

TASKS_AHEAD = 2  # a core of the cluster


def in_order_on_ray(function: Callable[[T], R], items: Iterable[T], processes: int) -> Iterator[R]:
    """`function` of each item, in the order of `items`, a task each, by a bounded number of tasks ahead.

    processes: of this machine, where Ray has to be started; a cluster that runs has as many as it has cores.

    Raises:
        UserError: Ray is not installed, cannot be reached, or lost a worker.
    """
    try:
        import ray
    except ImportError:
        raise UserError(
            "executor ray needs Ray: python -m pip install -r requirements_cluster.txt, or take executor: local"
        ) from None

    _reach(os.environ.get("RAY_ADDRESS", ""))
    environment = {"env_vars": {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}}
    here = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": processes, "include_dashboard": False}
    try:
        ray.init(runtime_env=environment, logging_level="warning", log_to_driver=False, **here)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(f"Ray cannot be reached ({error}); check RAY_ADDRESS and that the cluster runs") from error
    try:
        remote = ray.remote(max_retries=2)(function_of)
        shared = ray.put(function)
        ahead = TASKS_AHEAD * int(ray.cluster_resources().get("CPU", 1))
        waiting = deque()
        for item in items:
            waiting.append(remote.remote(shared, item))
            if len(waiting) >= ahead:
                yield ray.get(waiting.popleft())
        while waiting:
            yield ray.get(waiting.popleft())
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError) as error:
        raise UserError(f"Ray lost a worker ({error}); run the stage again, which goes on where it stopped") from error
    except ray.exceptions.RayTaskError as error:
        raise (error.cause or error) from error
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Ray itself tries for five minutes."""
    if found := re.fullmatch(r"(?:ray://)?([^:/]+):(\d+)", address):
        try:
            socket.create_connection((found[1], int(found[2])), timeout=10).close()
        except OSError as error:
            raise UserError(
                f"RAY_ADDRESS={address}: Ray cannot be reached ({error}); check the address and that the cluster runs"
            ) from error


def function_of(function: Callable[[T], R], item: T) -> R:
    """What Ray runs on a worker."""
    return function(item)
