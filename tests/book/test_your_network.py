"""The page *Your own network*: its code does what it says, in a fresh namespace, in less than a minute."""

import json
import re
import time

import pytest

import dha_utils as dha
from dha_utils.core.paths import bundled, repository

BLOCKS = re.findall(
    r"```python\n(.*?)```", (repository() / "book" / "your_network.md").read_text("utf-8"), re.S
)


def test_the_code_of_the_page_runs_in_less_than_a_minute(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    namespace, start = {}, time.process_time()
    exec(BLOCKS[0], namespace)
    assert time.process_time() - start < 60
    said = capsys.readouterr().out
    assert "accuracy_all" in said
    (full, right), (small, still) = re.findall(r"MACs: (\d+) accuracy: ([\d.]+)", said)
    assert int(small) < 0.55 * int(full)
    assert float(still) > float(right) - 0.1
    assert (tmp_path / "small.pt").is_file()
    exec(BLOCKS[1], namespace)
    assert namespace["build"]().taps == ("1", "3")


def test_the_question_takes_twenty_lines():
    question = BLOCKS[0].split("# --- The question ---")[1]
    lines = [line for line in question.splitlines() if line and not line.startswith("#")]
    assert len(lines) <= 20


def test_the_table_is_of_five_networks():
    measured = json.loads((bundled("digits") / "smaller.json").read_text("utf-8"))
    assert measured["seeds"] == 5
    assert [*measured["sizes"]] == ["25", "50", "75"]
    for fewer, saved in measured["sizes"].items():
        assert saved["macs"] == pytest.approx(int(fewer) / 100, abs=0.03)
        for row in measured["table"]:
            name = f"fewer_{fewer}"
            assert row[f"{name}_least"] <= row[name] <= row[f"{name}_most"] <= 1
    rows = [row["criterion"] for row in measured["table"]]
    removal = [name for name, criterion in dha.CRITERIA.items() if criterion.family == "removal"]
    assert {"random", "anova", "explained_variance", "principal components", *removal} <= {*rows}
