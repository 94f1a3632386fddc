"""The machine: which cores are used, and how it is described beside the figures."""

import importlib.metadata
import os
import pathlib
import platform
import re
import shlex
import subprocess
import sys


def use_cores(count):
    """Binds this process, and all that it starts, to `count` cores, so that engine and client share what a user has."""
    available = sorted(os.sched_getaffinity(0))
    if len(available) < count:
        sys.exit(f"this machine offers {len(available)} cores, --cores asks for {count}")
    os.sched_setaffinity(0, available[:count])


def describe(options, binary):
    """Lines for RESULTS.md: machine, versions, command and date."""
    versions = [f"Python {platform.python_version()}"]
    versions += [f"{name} {importlib.metadata.version(name)}" for name in ("datafusion", "duckdb", "PyMySQL")]
    if binary:
        output = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
        versions.insert(0, output.strip())
    command = shlex.join(["python3", "bench/run.py", *without_paths(sys.argv[1:])])
    return [
        f"{options.date}, {options.cores} of {os.cpu_count()} cores of {cpu()}, {memory_gib():.0f} GiB, Linux {platform.release()}",
        ", ".join(versions),
        f"`{command}`: {options.stat} of {options.runs} hot runs",
    ]


def without_paths(words):
    """The command's words without `--binary PATH`, which says nothing to others."""
    kept, skip = [], False
    for word in words:
        if not skip and word != "--binary" and not word.startswith("--binary="):
            kept.append(word)
        skip = word == "--binary"
    return kept


def cpu():
    found = re.search(r"model name\s*:\s*(.+)", pathlib.Path("/proc/cpuinfo").read_text())
    return found.group(1).strip() if found else platform.machine()


def memory_gib():
    found = re.search(r"MemTotal:\s*(\d+) kB", pathlib.Path("/proc/meminfo").read_text())
    return int(found.group(1)) / (1 << 20) if found else 0.0
