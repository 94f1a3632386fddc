"""Tables: aligned on the terminal, and as one block of RESULTS.md for each section."""

import dataclasses
import re

HEAD = """# Benchmark results

Written by `python3 bench/run.py`; each block says when, where and how it was measured. Ratios are to the peer in the same
run on the same cores: below 1 Cairn is faster.
"""


@dataclasses.dataclass
class Table:
    """Headings and rows of text; the first column is aligned to the left, the others to the right."""

    headings: list
    rows: list


@dataclasses.dataclass
class Block:
    """What a section reports."""

    title: str
    tables: list
    notes: list = dataclasses.field(default_factory=list)


class Goals:
    """Rows that compare a figure with its goal."""

    def __init__(self):
        self.rows = []

    def at_most(self, name, value, limit, unit=""):
        self._add(name, value, value <= limit, f"≤ {number(limit)}{unit}", unit)

    def at_least(self, name, value, limit, unit=""):
        self._add(name, value, value >= limit, f"≥ {number(limit)}{unit}", unit)

    def unknown(self, name, why):
        self.rows.append([name, "–", "–", why])

    def _add(self, name, value, met, goal, unit):
        self.rows.append([name, f"{number(value)}{unit}", goal, "met" if met else "MISSED"])

    def table(self):
        return Table(["figure", "measured", "goal", ""], self.rows)


def number(value):
    """Three significant digits, without an exponent."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def text(block):
    """For the terminal."""
    parts = []
    for table in block.tables:
        lines = [table.headings, *table.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(table.headings))]
        parts.append("\n".join(aligned(line, widths) for line in lines))
    parts += block.notes
    return "\n\n".join(parts) + "\n"


def aligned(line, widths):
    cells = [cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(line, widths))]
    return "  ".join(cells).rstrip()


def markdown(block, environment):
    """For RESULTS.md."""
    parts = [f"## {block.title}", "\n".join(f"- {line}" for line in environment)]
    for table in block.tables:
        rule = ["---"] + ["---:"] * (len(table.headings) - 1)
        lines = [table.headings, rule, *table.rows]
        parts.append("\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines))
    return "\n\n".join(parts + block.notes)


def write_block(path, order, name, block, environment):
    """Replaces one section of the file and keeps the others."""
    before = path.read_text() if path.exists() else ""
    path.write_text(merged(before, order, name, markdown(block, environment)))


def merged(before, order, name, body):
    """The file's text with the body of section `name` replaced or added, the sections in their order."""
    found = re.findall(r"<!-- begin (\w+) -->\n(.*?)\n<!-- end \1 -->", before, re.DOTALL)
    blocks = {**dict(found), name: body}
    parts = [f"<!-- begin {key} -->\n{blocks[key]}\n<!-- end {key} -->" for key in order if key in blocks]
    return HEAD + "\n" + "\n\n".join(parts) + "\n"
