"""Tests of the benchmark's own decisions: python3 -m unittest discover -s bench -t bench"""

import datetime
import decimal
import unittest

import answers
import data
import machine
import report


class Answers(unittest.TestCase):
    def check(self, expected, found, word):
        said = answers.difference(expected, found)
        self.assertEqual(said is None, word is None, said)
        if word:
            self.assertIn(word, said)

    def test_same(self):
        day = datetime.date(1995, 1, 1)
        self.check([(1, "a", day)], [(decimal.Decimal("1.00"), b"a", "1995-01-01")], None)
        self.check([(25.522005853, None)], [(decimal.Decimal("25.522006"), None)], None)
        self.check([("b", 2), ("a", 2)], [("a", 2), ("b", 2)], None)

    def test_different(self):
        self.check([(1,)], [(1,), (1,)], "2 rows instead of 1")
        self.check([("a", 1.0)], [("a", 1.01)], "instead of")
        self.check([("a", None)], [("a", 0)], "instead of")
        self.check([("a", 1), ("b", 2)], [("a", 2), ("b", 1)], "instead of")


class Rows(unittest.TestCase):
    def test_the_last_separator_goes_wherever_chunks_end(self):
        rows = b"1|a|b|\n2||c|\n3|x|y|"
        for size in range(1, len(rows) + 1):
            chunks = [rows[i : i + size] for i in range(0, len(rows), size)]
            self.assertEqual(b"".join(data.without_last_separator(chunks)), b"1|a|b\n2||c\n3|x|y", size)


class Report(unittest.TestCase):
    def test_a_section_is_replaced_and_the_others_stay(self):
        order = ["one", "two"]
        first = report.merged("", order, "two", "TWO")
        both = report.merged(first, order, "one", "ONE")
        self.assertLess(both.index("ONE"), both.index("TWO"))
        again = report.merged(both, order, "two", "NEW")
        self.assertIn("ONE", again)
        self.assertNotIn("TWO", again)
        self.assertEqual(report.merged(again, order, "two", "NEW"), again)

    def test_goals_say_when_they_are_missed(self):
        goals = report.Goals()
        goals.at_most("a", 1.3, 1.2, " ×")
        goals.at_least("b", 0.95, 0.9)
        goals.unknown("c", "not every query ran")
        self.assertEqual([row[-1] for row in goals.rows], ["MISSED", "met", "not every query ran"])

    def test_columns_are_aligned(self):
        text = report.text(report.Block("t", [report.Table(["name", "s"], [["long name", "1"], ["x", "10"]])]))
        self.assertEqual(text, "name        s\nlong name   1\nx          10\n")


class Machine(unittest.TestCase):
    def test_the_binary_path_is_not_published(self):
        for words, kept in [
            (["--sf", "1"], ["--sf", "1"]),
            (["--binary", "/x/cairn", "--runs", "3"], ["--runs", "3"]),
            (["--binary=/x/cairn"], []),
        ]:
            self.assertEqual(machine.without_paths(words), kept)


if __name__ == "__main__":
    unittest.main()
