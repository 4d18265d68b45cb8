"""TensorBoard beside a training: it starts with the command and ends with it, however that ends.

    python -m asr.monitor -- dvc repro train_german_model      # in the folder of a recipe; needs scripts/ on PYTHONPATH
    python -m asr.monitor                                      # no command: until Ctrl-C

TensorBoard runs in a thread of this process, so it cannot outlive it, be it killed with -9.
"""

import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

from asr.environment import load_environment, log_dir
from asr.errors import UserError
from asr.process_group import run

DEFAULT_PORT = 6006
PORTS_TRIED = 100


def start_tensorboard(logs: Path, port: int) -> str:
    """Show what is and what will be in `logs`, and return the address. A thread of this process serves it."""
    from tensorboard import default, program

    board = program.TensorBoard(default.get_plugins())
    # load_fast is a second process, which a killed one would leave behind
    board.configure(argv=["tensorboard", "--logdir", str(logs), "--port", str(port), "--load_fast", "false"])
    return board.launch()


def serve(logs: Path, wanted: int) -> str:
    """`start_tensorboard` on the first port from `wanted` on that can be had; another program may take a free one first.

    Raises:
        UserError: there is none.
    """
    from tensorboard.program import TensorBoardPortInUseError

    port = free_port(wanted)
    while True:
        try:
            address = start_tensorboard(logs, port)
        except TensorBoardPortInUseError:
            port = free_port(port + 1)
            continue
        if port != wanted:
            print(f"port {wanted} is in use; taking {port}")
        return address


def wanted_port() -> int:
    """TENSORBOARD_PORT, else 6006.

    Raises:
        UserError: it is not the number of a port.
    """
    text = os.environ.get("TENSORBOARD_PORT") or str(DEFAULT_PORT)
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise UserError(f"TENSORBOARD_PORT: {text} is not a port; write a number from 1 to 65535 into .env, e.g. 6006")
    return int(text)


def free_port(first: int) -> int:
    """The first port from `first` on that nobody listens on.

    Raises:
        UserError: a hundred ports are taken.
    """
    last = min(first + PORTS_TRIED - 1, 65535)
    for port in range(first, last + 1):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that was just given up counts as free
            try:
                probe.bind(("localhost", port))
            except OSError:
                continue
        return port
    raise UserError(f"TENSORBOARD_PORT: ports {first} to {last} are all in use; write another into .env")


def main(arguments: list[str]) -> int:
    """TensorBoard, and the command after `--` if there is one."""
    load_environment()
    wanted = wanted_port()
    logs = log_dir().absolute()
    print(f"TensorBoard: {serve(logs, wanted)} shows {logs}", flush=True)
    command = arguments[1:] if arguments[:1] == ["--"] else arguments
    if command:
        return run(command)
    print("Ctrl-C ends it", flush=True)
    with suppress(KeyboardInterrupt):
        signal.pause()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except UserError as error:
        sys.exit(f"error: {error}")
