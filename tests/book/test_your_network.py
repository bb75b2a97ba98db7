"""The page *Your own network*: its code does what it says, in a fresh namespace, in less than a minute."""

import json
import re
import time

import pytest

from dha_utils.core.paths import bundled, repository

BLOCKS = re.findall(
    r"```python\n(.*?)```", (repository() / "book" / "your_network.md").read_text("utf-8"), re.S
)


def test_the_code_of_the_page_runs_in_less_than_a_minute(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    namespace, start = {}, time.process_time()
    for block in BLOCKS:
        exec(block, namespace)
    assert time.process_time() - start < 60
    full, small = (line.split() for line in capsys.readouterr().out.splitlines()[-2:])
    assert int(small[0]) < 0.55 * int(full[0])
    assert float(small[1]) > float(full[1]) - 0.1
    assert (tmp_path / "small.pt").is_file()
    assert namespace["build"]().taps == ("1", "3")


def test_the_question_takes_twenty_lines():
    lines = [line for line in BLOCKS[1].splitlines() if line and not line.startswith("#")]
    assert len(lines) <= 20


def test_the_table_is_of_five_networks():
    measured = json.loads((bundled("digits") / "smaller.json").read_text("utf-8"))
    assert measured["seeds"] == 5
    assert [row["fewer"] for row in measured["table"]] == [0.25, 0.5, 0.75]
    for row in measured["table"]:
        assert row["macs"] == pytest.approx(row["fewer"], abs=0.03)
        for name in ("random", "anova", "explained_variance"):
            assert row[f"{name}_least"] <= row[name] <= row[f"{name}_most"] <= 1
