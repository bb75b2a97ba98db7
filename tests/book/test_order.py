import threading
from pathlib import Path

import pytest

from dha_utils.book.order import KEEPS, Agenda, reads, subject
from dha_utils.core.paths import repository

NOTEBOOKS = sorted((repository() / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def test_every_notebook_reads_what_its_cells_name_and_the_outcomes_all():
    read = {
        subject(source): [subject(other) for other in others] for source, others in reads(NOTEBOOKS).items()
    }
    assert read["recordings"] == ["ensemble"]  # its predictions
    assert read["sensitivity"] == ["ensemble"]
    assert read["curves"] == []
    assert read["outcomes"] == [subject(source) for source in NOTEBOOKS if source.stem.split("_")[0] < "17"]


def test_what_a_notebook_keeps_for_another_is_of_one_that_comes_before_it():
    order = [subject(source) for source in NOTEBOOKS]
    assert all(order.index(keeper) < order.index(taker) for taker, keeper in KEEPS.items())


SOURCES = [
    Path(f"{name}.ipynb") for name in ("02_ensemble", "03_criteria", "04_quick", "13_slow", "17_outcomes")
]
READ = dict.fromkeys(SOURCES, ()) | {SOURCES[-1]: SOURCES[:-1]}


def test_the_longest_way_is_taken_up_first_and_nobody_before_those_it_waits_for():
    agenda = Agenda(
        SOURCES, READ, {"13_slow": 60.0, "03_criteria": 30.0, "02_ensemble": 10.0, "04_quick": 1.0}
    )
    order = [source.stem for source in agenda.work(lambda source: None)]
    assert order == ["13_slow", "02_ensemble", "03_criteria", "04_quick", "17_outcomes"]


def test_two_work_side_by_side_and_each_notebook_is_taken_up_once():
    agenda, meet = Agenda(SOURCES, READ, {}), threading.Barrier(2, timeout=10)
    at_work, done = [], []

    def do(source):
        assert not agenda.waits[source] & {*at_work}
        at_work.append(source)
        if len(done) + len(at_work) <= 2:
            meet.wait()
        at_work.remove(source)
        done.append(source)

    threads = [threading.Thread(target=agenda.work, args=(do,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(done) == SOURCES
    assert done[-1].stem == "17_outcomes"


def test_where_one_fails_no_other_is_taken_up():
    agenda = Agenda(SOURCES, READ, {})

    def fail(source):
        raise ValueError(source.stem)

    with pytest.raises(ValueError, match="02_ensemble"):
        agenda.work(fail)
    assert agenda.work(fail) == []
