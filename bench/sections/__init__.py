"""The parts of the benchmark, each with a TITLE and `run(bench) -> report.Block`."""
