#!/usr/bin/env python3
"""Cairn's benchmark: one command that makes data, runs Cairn and its peers side by side, and writes RESULTS.md.

    python3 bench/run.py                        # everything at scale factor 1
    python3 bench/run.py --only tpch,load       # some sections; the others keep their block in RESULTS.md
    python3 bench/run.py --sf 0.1 --peers-only  # without Cairn: prints the peers, writes nothing

Every figure is taken hot, on the same cores, in the same run as the peer it is compared with. Data, the virtual
environment and the servers' folders lie outside the source tree (CAIRN_BENCH_DIR, default ~/.cache/cairn-bench).
"""

import argparse
import datetime
import os
import pathlib
import subprocess
import sys
import venv

BENCH = pathlib.Path(__file__).resolve().parent
HOME = pathlib.Path(os.environ.get("CAIRN_BENCH_DIR", pathlib.Path.home() / ".cache" / "cairn-bench"))
# `restore` comes last: the servers that it restores from are gone then.
SECTIONS = ["tpch", "load", "latency", "keys", "snapshot", "mview", "restore"]
PEER_SECTIONS = ["tpch", "load"]


def main():
    options = arguments()
    enter_environment()
    # From here on the libraries of requirements.txt can be imported.
    import context
    import machine
    import report

    machine.use_cores(options.cores)
    with context.Context(options, BENCH, HOME) as bench:
        environment = machine.describe(options, bench.binary)
        for name in options.only:
            section = getattr(__import__(f"sections.{name}"), name)
            print(f"== {section.TITLE}", flush=True)
            block = section.run(bench)
            print(report.text(block), flush=True)
            if not options.peers_only:
                report.write_block(BENCH / "RESULTS.md", SECTIONS, name, block, environment)
    if not options.peers_only:
        print("written: bench/RESULTS.md")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sf", type=float, default=1.0, help="TPC-H scale factor (default 1)")
    parser.add_argument("--only", type=sections, help=f"comma-separated sections of {','.join(SECTIONS)}")
    parser.add_argument("--runs", type=int, default=5, help="timed runs of each query, after a warm one (default 5)")
    parser.add_argument("--stat", choices=["best", "median"], default="best", help="which run counts (default best)")
    parser.add_argument("--cores", type=int, default=2, help="cores for everything, clients included (default 2)")
    parser.add_argument("--insert-seconds", type=float, default=5.0, help="length of one INSERT measurement")
    parser.add_argument("--settle-seconds", type=float, default=5.0, help="pause after loading, for compaction")
    parser.add_argument("--binary", type=pathlib.Path, help="the cairn binary (default: build the release one)")
    parser.add_argument("--date", default=None, help="date for RESULTS.md (default today)")
    parser.add_argument("--peers-only", action="store_true", help="run without Cairn; writes no RESULTS.md")
    options = parser.parse_args()
    if options.only is None:
        options.only = PEER_SECTIONS if options.peers_only else SECTIONS
    alone = [name for name in options.only if name not in PEER_SECTIONS]
    if options.peers_only and alone:
        parser.error(f"--peers-only: {', '.join(alone)} have no peer; leave them out")
    if options.runs < 1 or options.cores < 1 or options.sf <= 0:
        parser.error("--runs, --cores and --sf must be positive")
    options.date = options.date or datetime.date.today().isoformat()
    return options


def sections(text):
    names = text.split(",")
    for name in names:
        if name not in SECTIONS:
            raise argparse.ArgumentTypeError(f"no section `{name}`; there are {', '.join(SECTIONS)}")
    return [name for name in SECTIONS if name in names]


def enter_environment():
    """Continues in the benchmark's virtual environment, which is made, or made anew, when the requirements changed."""
    folder = HOME / "venv"
    stamp, wanted = folder / "requirements.installed", (BENCH / "requirements.txt").read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing the peers into {folder}", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        pip = [folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", BENCH / "requirements.txt"], check=True)
        stamp.write_text(wanted)
    if pathlib.Path(sys.prefix) != folder:
        python = folder / "bin" / "python"
        os.execv(python, [python, *sys.argv])


if __name__ == "__main__":
    sys.path.insert(0, str(BENCH))
    main()
