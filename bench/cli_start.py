"""Prints how long `edusec --help` takes next to an empty Typer program, alternating, best of N each."""

import subprocess
import sys
import time

EMPTY = (
    "import typer\napp = typer.Typer()\n@app.command()\ndef a(): ...\n@app.command()\ndef b(): ...\n"
    "app(['--help'], prog_name='empty')"
)
ROUNDS = 15


def seconds(argv: list[str]) -> float:
    """Wall time of one run."""
    started = time.perf_counter()
    subprocess.run(argv, stdout=subprocess.DEVNULL, check=True, timeout=60)
    return time.perf_counter() - started


def main() -> None:
    """Measure and print one line."""
    ours, empty = [], []
    for _ in range(ROUNDS):
        empty.append(seconds([sys.executable, "-P", "-c", EMPTY]))
        ours.append(seconds([sys.executable, "-P", "-m", "edusec", "--help"]))
    ratio = min(ours) / min(empty)
    print(f"edusec --help {min(ours) * 1000:.0f} ms, empty Typer program {min(empty) * 1000:.0f} ms, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
