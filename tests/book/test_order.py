import threading
from pathlib import Path

import pytest

from dha_utils.book.order import KEEPS, Agenda, reads, subject, waits
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
READ = dict.fromkeys([Path("01_responses.ipynb"), *SOURCES], ()) | {SOURCES[-1]: SOURCES[:-1]}
WAITS = waits(SOURCES, READ)


def test_the_longest_way_is_taken_up_first_and_nobody_before_those_it_waits_for():
    seconds = {"13_slow": 60.0, "03_criteria": 30.0, "02_ensemble": 10.0, "04_quick": 1.0}
    agenda = Agenda(WAITS, {Path(f"{name}.ipynb"): of for name, of in seconds.items()})
    order = [source.stem for source in agenda.work(lambda source: None)]
    assert order == ["13_slow", "02_ensemble", "03_criteria", "04_quick", "17_outcomes"]


def test_all_wait_for_the_first_and_where_nothing_is_known_of_times_the_order_is_the_one_given():
    sources = [Path("01_responses.ipynb"), *SOURCES]
    waiting = waits(sources, READ)
    assert not waiting[sources[0]]
    assert all(sources[0] in waiting[source] for source in SOURCES)
    # Those of a second data set come after those of the first, whatever waits for whatever.
    both = {(name, source): {(name, w) for w in waiting[source]} for name in "ab" for source in sources}
    assert Agenda(both).work(lambda item: None) == [(name, source) for name in "ab" for source in sources]


def test_two_work_side_by_side_and_each_notebook_is_taken_up_once():
    agenda, meet = Agenda(WAITS), threading.Barrier(2, timeout=10)
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
    agenda = Agenda(WAITS)

    def fail(source):
        raise ValueError(source.stem)

    with pytest.raises(ValueError, match="02_ensemble"):
        agenda.work(fail)
    assert agenda.work(fail) == []
