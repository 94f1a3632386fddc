"""TPC-H data: generated once per scale factor, as Parquet and as CSV."""

import pathlib
import shutil
import subprocess
import sys

# Columns of each table in the order of the data files.
COLUMNS = {
    "region": "r_regionkey r_name r_comment",
    "nation": "n_nationkey n_name n_regionkey n_comment",
    "supplier": "s_suppkey s_name s_address s_nationkey s_phone s_acctbal s_comment",
    "part": "p_partkey p_name p_mfgr p_brand p_type p_size p_container p_retailprice p_comment",
    "partsupp": "ps_partkey ps_suppkey ps_availqty ps_supplycost ps_comment",
    "customer": "c_custkey c_name c_address c_nationkey c_phone c_acctbal c_mktsegment c_comment",
    "orders": "o_orderkey o_custkey o_orderstatus o_totalprice o_orderdate o_orderpriority o_clerk o_shippriority"
    " o_comment",
    "lineitem": "l_orderkey l_partkey l_suppkey l_linenumber l_quantity l_extendedprice l_discount l_tax l_returnflag"
    " l_linestatus l_shipdate l_commitdate l_receiptdate l_shipinstruct l_shipmode l_comment",
}
TABLES = list(COLUMNS)
CHUNK_BYTES = 16 << 20


class Data:
    """The files of one scale factor."""

    def __init__(self, home, sf):
        self.sf = sf
        self.folder = pathlib.Path(home) / "data" / f"sf{sf:g}"
        if not self.folder.exists():
            self._generate()

    def parquet(self, table):
        return self.folder / f"{table}.parquet"

    def csv(self, table):
        """Columns parted by `|`, no quotes, no header."""
        return self.folder / f"{table}.csv"

    def _generate(self):
        """Builds beside and renames, so that an interrupted run leaves nothing that looks whole."""
        print(f"generating TPC-H data, scale factor {self.sf:g}", flush=True)
        beside = self.folder.with_name(self.folder.name + ".part")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        tool = pathlib.Path(sys.prefix) / "bin" / "tpchgen-cli"
        for form in ("parquet", "tbl"):
            command = [tool, form, "--scale-factor", f"{self.sf:g}", "--output-dir", beside, "--quiet"]
            subprocess.run(command, check=True)
        for table in TABLES:
            source = beside / f"{table}.tbl"
            with source.open("rb") as tbl, (beside / f"{table}.csv").open("wb") as csv:
                for chunk in without_last_separator(iter(lambda: tbl.read(CHUNK_BYTES), b"")):
                    csv.write(chunk)
            source.unlink()
        beside.rename(self.folder)


def without_last_separator(chunks):
    """`a|b|` becomes `a|b` in every row: dbgen ends each row with a separator, which other readers take for a column."""
    held = b""
    for chunk in chunks:
        chunk = held + chunk
        # A separator at the chunk's end may belong to a row end in the next one.
        held = b"|" if chunk.endswith(b"|") else b""
        chunk = chunk[: len(chunk) - len(held)]
        yield chunk.replace(b"|\n", b"\n")
    # A last row without a line break ends here.
