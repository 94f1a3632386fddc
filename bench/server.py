"""A Cairn process under measurement: start, SQL, Stream Load, memory, stop."""

import json
import pathlib
import re
import signal
import socket
import subprocess
import time
import uuid

import pymysql

import data as tpch_data

READY_SECONDS_MAX = 120
STOP_SECONDS_MAX = 60


class Server:
    """`cairn start` on free ports. `folder` gets the log; `arguments` are added to the command line."""

    def __init__(self, binary, folder, *arguments):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.mysql_port, self.http_port = free_ports(2)
        command = [binary, "start", "--data-dir", self.folder / "data", "--listen", "127.0.0.1"]
        command += ["--mysql-port", str(self.mysql_port), "--http-port", str(self.http_port), *arguments]
        self.log = (self.folder / "cairn.log").open("ab")
        started = time.perf_counter()
        self.process = subprocess.Popen([str(word) for word in command], stdout=self.log, stderr=self.log)
        self._wait_until_it_serves()
        self.ready_seconds = time.perf_counter() - started

    def _wait_until_it_serves(self):
        end = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f"cairn ended with {self.process.returncode} at its start:\n{self.log_tail()}")
            try:
                with self.connect() as connection:
                    query(connection, "SELECT 1")
                return
            except pymysql.err.OperationalError:
                time.sleep(0.005)
        self.stop()
        raise RuntimeError(f"cairn does not serve after {READY_SECONDS_MAX} s:\n{self.log_tail()}")

    def log_tail(self, bytes_max=4000):
        return (self.folder / "cairn.log").read_bytes()[-bytes_max:].decode(errors="replace")

    def connect(self, database=None):
        return connect(self.mysql_port, database)

    def stream_load(self, database, table, path):
        """Loads a CSV of data.py; returns the seconds of the whole request.

        The file's columns are named, because the table has its key columns first."""
        columns = ",".join(tpch_data.COLUMNS[table].split())
        headers = [f"label:bench_{table}_{uuid.uuid4().hex}", "format:csv", "column_separator:|", f"columns:{columns}"]
        headers += ["Expect:100-continue", "timeout:3600"]
        command = ["curl", "--silent", "--show-error", "--location-trusted", "--user", "root:"]
        for header in headers:
            command += ["--header", header]
        url = f"http://127.0.0.1:{self.http_port}/api/{database}/{table}/_stream_load"
        started = time.perf_counter()
        done = subprocess.run([*command, "--upload-file", str(path), url], capture_output=True, text=True)
        seconds = time.perf_counter() - started
        answer = loaded(done)
        if answer.get("Status") != "Success":
            raise RuntimeError(f"Stream Load of {table} failed: {json.dumps(answer)}")
        return seconds

    def peak_bytes(self):
        """Largest resident memory of the process since it started."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s*(\d+) kB", status).group(1)) * 1024

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()


def loaded(done):
    """The answer of a Stream Load, or what curl said instead."""
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError:
        raise RuntimeError(f"curl ended with {done.returncode}: {done.stderr.strip()} {done.stdout.strip()}") from None


def connect(mysql_port, database=None):
    """A session of root; each statement is a transaction of its own."""
    return pymysql.connect(
        host="127.0.0.1", port=mysql_port, user="root", password="", database=database, autocommit=True, read_timeout=600
    )


def query(connection, statement, arguments=None):
    """All rows of a statement."""
    with connection.cursor() as cursor:
        cursor.execute(statement, arguments)
        return cursor.fetchall()


def query_dicts(connection, statement, arguments=None):
    """All rows of a statement, by the upper-case name of the column."""
    with connection.cursor() as cursor:
        cursor.execute(statement, arguments)
        names = [column[0].upper() for column in cursor.description]
        return [dict(zip(names, row)) for row in cursor.fetchall()]


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
