"""What the sections share: options, data, the binary, and servers that hold TPC-H."""

import json
import pathlib
import shutil
import subprocess
import tempfile
import time

import data as tpch_data
import server

DATABASE = "tpch"


class Context:
    """Keeps each loaded server until the end, and removes all folders then."""

    def __init__(self, options, bench, home):
        self.options, self.bench, self.home = options, bench, home
        self.binary = None if options.peers_only else binary(options, bench.parent)
        home.mkdir(parents=True, exist_ok=True)
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="run-", dir=home))
        self.servers = {}
        self._data = {}

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        for process in self.servers.values():
            process.stop()
        if kind is None:
            shutil.rmtree(self.work, ignore_errors=True)
        else:
            print(f"the folders of this run are kept for a look: {self.work}", flush=True)

    def data(self, sf=None):
        sf = sf or self.options.sf
        if sf not in self._data:
            self._data[sf] = tpch_data.Data(self.home, sf)
        return self._data[sf]

    def queries(self):
        """The 22 statements, by number."""
        files = sorted((self.bench / "tpch").glob("q*.sql"))
        return {int(file.stem[1:]): file.read_text().strip() for file in files}

    def folder(self, name):
        """A new folder for one part of the run."""
        folder = self.work / name
        folder.mkdir(parents=True)
        return folder

    def start(self, name, *arguments):
        """A new, empty server with a storage volume in a folder of its own."""
        folder = self.folder(name)
        (folder / "bucket").mkdir()
        return server.Server(self.binary, folder, "--storage", f"file://{folder / 'bucket'}", *arguments)

    def tpch_server(self, sf):
        """A server with TPC-H of that scale factor loaded; started once."""
        if sf not in self.servers:
            process = self.start(f"tpch-sf{sf:g}")
            self.servers[sf] = process
            print(f"loading scale factor {sf:g} into Cairn", flush=True)
            create_tables(process, DATABASE, self.bench)
            for table in tpch_data.TABLES:
                process.stream_load(DATABASE, table, self.data(sf).csv(table))
            time.sleep(self.options.settle_seconds)
        return self.servers[sf]


def create_tables(process, database, bench):
    with process.connect() as connection:
        server.query(connection, f"CREATE DATABASE {database}")
    with process.connect(database) as connection:
        for statement in statements((bench / "tpch" / "schema.sql").read_text()):
            server.query(connection, statement)


def statements(script):
    """The statements of a script that has comments on lines of their own and no semicolon in a literal."""
    lines = [line for line in script.splitlines() if not line.lstrip().startswith("--")]
    return [part.strip() for part in "\n".join(lines).split(";") if part.strip()]


def binary(options, root):
    """The binary to measure: the given one, or the release build of this tree."""
    if options.binary:
        return options.binary.resolve()
    print("building the release binary", flush=True)
    subprocess.run(["cargo", "build", "--release", "--quiet", "--package", "cairn"], cwd=root, check=True)
    metadata = ["cargo", "metadata", "--no-deps", "--format-version", "1"]
    answer = json.loads(subprocess.run(metadata, cwd=root, check=True, capture_output=True, text=True).stdout)
    return pathlib.Path(answer["target_directory"]) / "release" / "cairn"
