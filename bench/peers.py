"""The engines that answer TPC-H queries, behind one interface: `name`, `run(sql) -> rows`, `close()`."""

import contextlib

import datafusion
import duckdb

import data as tpch_data
import server


class DataFusionParquet:
    """DataFusion on the generator's Parquet files."""

    name = "DataFusion, Parquet"

    def __init__(self, files, cores):
        config = datafusion.SessionConfig().with_target_partitions(cores)
        self.session = datafusion.SessionContext(config)
        for table in tpch_data.TABLES:
            self.session.register_parquet(table, str(files.parquet(table)))

    def run(self, sql):
        return self.session.sql(sql).collect()

    @staticmethod
    def rows(answer):
        """Arrow batches as tuples; left out of the time, as a Rust program would not pay it."""
        return [tuple(row) for batch in answer for row in zip(*(column.to_pylist() for column in batch.columns))]

    def close(self):
        self.session = None


class DuckDbParquet:
    """DuckDB on the generator's Parquet files."""

    name = "DuckDB, Parquet"

    def __init__(self, files, cores):
        self.connection = duck(":memory:", cores)
        for table in tpch_data.TABLES:
            self.connection.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet('{files.parquet(table)}')")

    def run(self, sql):
        return self.connection.execute(sql).fetchall()

    @staticmethod
    def rows(answer):
        return answer

    def close(self):
        self.connection.close()


class DuckDbTables(DuckDbParquet):
    """DuckDB on its own tables, in a database file."""

    name = "DuckDB, own tables"

    def __init__(self, files, cores, folder):
        self.connection = duck(str(folder / "tpch.duckdb"), cores)
        for table in tpch_data.TABLES:
            self.connection.execute(f"CREATE TABLE {table} AS SELECT * FROM read_parquet('{files.parquet(table)}')")


class Cairn:
    """Cairn through its MySQL port."""

    name = "Cairn"

    def __init__(self, process, database):
        self.connection = process.connect(database)

    def run(self, sql):
        """With the time that a Python client takes to read the rows: 0.1 s for query 16."""
        return server.query(self.connection, sql)

    @staticmethod
    def rows(answer):
        return list(answer)

    def close(self):
        with contextlib.suppress(Exception):
            self.connection.close()


def duck(path, cores):
    connection = duckdb.connect(path)
    connection.execute(f"SET threads = {cores}")
    return connection
