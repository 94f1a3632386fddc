"""Whether two engines gave the same answer."""

import datetime
import decimal
import math

# Averages of decimals carry six or more digits after the point; engines round the last one differently.
ABSOLUTE = 1e-5
RELATIVE = 1e-6


def difference(expected, found):
    """None when the rows are the same, else one sentence. Order counts, except among rows that the query's ORDER BY
    leaves equal: those are compared as a bag."""
    expected, found = [plain(row) for row in expected], [plain(row) for row in found]
    if len(expected) != len(found):
        return f"{len(found)} rows instead of {len(expected)}"
    if all(map(same_row, expected, found)):
        return None
    for one, other in zip(sorted(expected, key=sort_key), sorted(found, key=sort_key)):
        if not same_row(one, other):
            return f"{other} instead of {one}"
    return None


def plain(row):
    return tuple(plain_value(value) for value in row)


def plain_value(value):
    if isinstance(value, (bool, int, decimal.Decimal)):
        return float(value)
    if isinstance(value, (datetime.date, datetime.datetime)):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode()
    return value


def same_row(one, other):
    return len(one) == len(other) and all(map(same_value, one, other))


def same_value(one, other):
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    return one == other


def sort_key(row):
    """Texts first: numbers may differ in their last digit, and must not decide the order alone."""
    texts = [value for value in row if isinstance(value, str)]
    numbers = [value for value in row if isinstance(value, float)]
    return (texts, numbers, len(row))
