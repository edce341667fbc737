"""Encodes a split many times over, kills the run at random moments, and compares with an uninterrupted one.

    python tests/large_store.py --copies 1000 --kills 5 --folder DIR model=ucch dataset.images=4000

Prints the time of each run, the digests of both stores, and the most memory that a process held beyond what it holds
once everything is imported and the data are read: what a run of a single copy takes.
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FIXED = ("stage=[encode]", "+untrained=true", "logger=none", "trainer=cpu")


def run(folder: Path, overrides: Sequence[str], killed_after: float | None = None) -> tuple[int, int, float, float]:
    """Exit code, peak bytes, wall-clock and processor seconds of one run, which may be killed."""
    command = [sys.executable, str(ROOT / "run.py"), *FIXED, f"hydra.run.dir={folder}", *overrides]
    begin = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": str(ROOT)})
    peak, seconds, status = 0, 0.0, Path(f"/proc/{process.pid}")
    while process.poll() is None:
        try:
            lines = (status / "status").read_text().splitlines()
            peak = max(peak, *(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")))
            ticks = (status / "stat").read_text().rpartition(")")[2].split()[11:13]
            seconds = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
        except (OSError, TypeError):  # it ends meanwhile
            pass
        if killed_after is not None and time.monotonic() - begin > killed_after:
            process.send_signal(signal.SIGKILL)
        time.sleep(0.05)
    return process.returncode, peak, time.monotonic() - begin, seconds


def digests(folder: Path) -> dict[str, str]:
    """Of all files of a store."""
    found = {}
    for path in sorted((folder / "embeddings").iterdir()):
        with path.open("rb") as file:
            found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def main() -> int:
    """1 where a run failed or the stores differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copies", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--folder", type=Path, required=True, help="of both stores; emptied before and after")
    parser.add_argument("overrides", nargs="+", help="of run.py, such as model=ucch")
    options = parser.parse_args()
    whole, killed, small = (options.folder.resolve() / name for name in ("whole", "killed", "small"))
    shutil.rmtree(options.folder, ignore_errors=True)
    overrides = [*options.overrides, f"dataset.copies={options.copies}"]
    _, least, start, _ = run(small, [*options.overrides, "dataset.copies=1"])
    code, most, wall, seconds = run(whole, overrides)
    say(f"one copy: {start:.0f} s, {least / 2**20:.0f} MiB")
    say(f"{options.copies} copies: {wall:.0f} s, {seconds:.0f} CPU s, {most / 2**20:.0f} MiB, exit code {code}")
    wanted = digests(whole)
    size = sum(path.stat().st_size for path in (whole / "embeddings").iterdir())
    shutil.rmtree(whole)
    chance, kills, code = random.Random(options.seed), 0, None
    while code != 0:
        moment = start + chance.uniform(0, wall - start) / options.kills if kills < options.kills else None
        code, peak, wall_now, seconds = run(killed, overrides, moment)
        most, kills = max(most, peak), kills + (code == -signal.SIGKILL)
        say(f"exit code {code} after {wall_now:.0f} s, {seconds:.0f} CPU s, {peak / 2**20:.0f} MiB")
        if code not in (0, -signal.SIGKILL):
            return 1
    same = digests(killed) == wanted
    say(f"{size / 2**20:,.0f} MiB; {kills} kills; {'identical' if same else 'DIFFERENT'}: {wanted}")
    say(f"memory beyond one copy: {(most - least) / 2**20:.0f} MiB")
    shutil.rmtree(options.folder)
    return int(not same)


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
