"""A training that, told to stop, writes a checkpoint first: for tests of what stands between a signal and it."""

SAVES = """
import pathlib, signal, time
def save(*_):
    time.sleep(1)
    pathlib.Path("saved").touch()
    raise SystemExit(143)
signal.signal(signal.SIGTERM, save)
signal.signal(signal.SIGINT, save)
pathlib.Path("started").touch()
time.sleep(60)
"""
