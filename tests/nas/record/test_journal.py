from __future__ import annotations

import errno
import json
import math
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nas.record import journal as journals
from nas.record.folding import fold
from nas.record.journal import Event, create, open_for_reading, open_for_writing
from nas.record.journal_file import JournalError

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
CONFIG = {"space": "toy", "seed": 3, "rate": 0.1}


def notes(*texts: str) -> list[Event]:
    return [Event("finished", {"reason": text}) for text in texts]


def texts(events: tuple[Event, ...]) -> list[str]:
    return [event.body["reason"] for event in events]


def test_what_is_appended_is_read_back_in_order(tmp_path):
    with create(tmp_path / "run", CONFIG, {"python": "3"}) as journal:
        journal.append(notes("a", "b"))
        journal.append([])
        journal.append(notes("ü\n☃"))
    with open_for_reading(tmp_path / "run") as journal:
        events = journal.events()
        assert texts(events) == ["a", "b", "ü\n☃"]
        assert [event.number for event in events] == [1, 2, 3]
        assert texts(journal.events(after=2)) == ["ü\n☃"]
        assert events[0].time >= journal.created > 0
        assert (journal.config, journal.environment, journal.format) == (CONFIG, {"python": "3"}, 1)


def test_writing_goes_on_where_it_stopped(tmp_path):
    create(tmp_path, CONFIG, {}).close()
    for text in "abc":
        with open_for_writing(str(tmp_path)) as journal:
            journal.append(notes(text))
    with open_for_reading(tmp_path) as journal:
        assert texts(journal.events()) == ["a", "b", "c"]


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=20,
)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_floats_come_back_exactly(tmp_path, values):
    run = tmp_path / str(random.Random().getrandbits(60))
    with create(run, {}, {}) as journal:
        journal.append([Event("finished", {"values": values})])
        read = journal.events()[0].body["values"]
    assert read == values
    assert [math.copysign(1, value) for value in read] == [
        math.copysign(1, value) for value in values
    ]


@pytest.mark.parametrize("value", [math.nan, math.inf, object(), {1, 2}])
def test_all_events_or_none_are_appended(tmp_path, value):
    with create(tmp_path, {}, {}) as journal:
        with pytest.raises(ValueError, match="must hold JSON values, with finite numbers"):
            journal.append([*notes("a"), Event("observation", {"score": value})])
        assert journal.events() == ()


def test_an_existing_run_is_not_overwritten(tmp_path):
    create(tmp_path, CONFIG, {}).close()
    with pytest.raises(JournalError, match="nas resume") as caught:
        create(tmp_path, {}, {})
    assert caught.value.exit_code == 2
    with open_for_reading(tmp_path) as journal:
        assert journal.config == CONFIG


def test_a_creation_cut_short_may_be_repeated(tmp_path):
    (tmp_path / journals.FILE).touch()
    with pytest.raises(JournalError, match="ended before it began"):
        open_for_reading(tmp_path)
    with create(tmp_path, CONFIG, {}) as journal:
        assert journal.config == CONFIG


def test_a_reader_sees_what_is_appended_while_it_is_open(tmp_path):
    with create(tmp_path, CONFIG, {}) as writer, open_for_reading(tmp_path) as reader:
        assert reader.events() == ()
        writer.append(notes("a"))
        assert texts(reader.events()) == ["a"]
        with pytest.raises(ValueError, match="open for reading"):
            reader.append(notes("b"))


def test_a_second_controller_is_refused_and_told_who_has_the_run(tmp_path):
    with create(tmp_path, CONFIG, {}):
        for attempt in (open_for_writing, lambda path: create(path, {}, {})):
            with pytest.raises(
                JournalError, match=rf"pid {os.getpid()} on .* is running the search"
            ) as caught:
                attempt(tmp_path)
            assert caught.value.exit_code == 2
    open_for_writing(tmp_path).close()


WRITER = """
import sys
from nas.record.journal import Event, open_for_writing
journal = open_for_writing(sys.argv[1])
number = 0
while True:
    bodies = [{"reason": f"{number}.{part}", "padding": "x" * 500} for part in range(3)]
    journal.append([Event("finished", body) for body in bodies])
    print(number, flush=True)
    number += 1
"""


def test_a_killed_writer_loses_nothing_and_holds_no_lock(tmp_path):
    create(tmp_path, CONFIG, {}).close()
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    for _ in range(30):
        writer.stdout.readline()
    with pytest.raises(JournalError, match=rf"pid {writer.pid} "):
        open_for_writing(tmp_path)
    with open_for_reading(tmp_path) as reader:
        assert len(reader.events()) >= 90
    writer.send_signal(signal.SIGKILL)
    confirmed = 30 + len(writer.stdout.read().splitlines())
    writer.stdout.close()
    writer.wait()
    with open_for_writing(tmp_path) as journal:
        read = texts(journal.events())
        assert len(read) >= 3 * confirmed
        assert read == [f"{number}.{part}" for number in range(len(read) // 3) for part in range(3)]
        journal.append(notes("after"))


def test_a_full_disk_keeps_what_was_there_and_writing_goes_on_when_there_is_space(tmp_path):
    with create(tmp_path, CONFIG, {}) as journal:
        journal.append(notes("before"))
        connection = journal._connection
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(
            JournalError, match=r"the disk is full.*stays readable; free space and `nas resume"
        ) as caught:
            journal.append([Event("finished", {"reason": "x" * 100_000})])
        assert caught.value.exit_code == 1
        assert texts(journal.events()) == ["before"]
        connection.execute("PRAGMA max_page_count = 100000")
        journal.append(notes("after"))
    with open_for_reading(tmp_path) as reader:
        assert texts(reader.events()) == ["before", "after"]


def test_a_full_disk_at_the_creation_is_said(tmp_path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(JournalError, match="the disk is full"):
        create(tmp_path / "run", {}, {})


def test_a_directory_without_a_journal_is_not_a_run(tmp_path):
    for attempt in (open_for_reading, open_for_writing):
        with pytest.raises(JournalError, match="is not a run: it has no file"):
            attempt(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_said(tmp_path):
    (tmp_path / "run").touch()
    with pytest.raises(JournalError, match="cannot be used as a run's directory"):
        create(tmp_path / "run", {}, {})


def test_a_newer_format_is_refused(tmp_path):
    create(tmp_path, CONFIG, {}).close()
    connection = sqlite3.connect(tmp_path / journals.FILE)
    connection.execute("UPDATE meta SET value = '2' WHERE name = 'format'")
    connection.commit()
    connection.close()
    for attempt in (open_for_reading, open_for_writing):
        with pytest.raises(
            JournalError,
            match="written in journal format 2, and this version reads formats up to 1",
        ):
            attempt(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"this is no database at all, however long it may be" * 100,
        b"SQLite format 3\x00" + b"\xff" * 5000,
    ],
)
def test_a_file_that_is_no_database_is_said(tmp_path, content):
    (tmp_path / journals.FILE).write_bytes(content)
    for attempt in (open_for_reading, open_for_writing, lambda path: create(path, {}, {})):
        with pytest.raises(JournalError, match="is damaged or not a journal"):
            attempt(tmp_path)
    assert (tmp_path / journals.FILE).read_bytes() == content


def test_another_database_is_said(tmp_path):
    connection = sqlite3.connect(tmp_path / journals.FILE)
    connection.execute("CREATE TABLE songs (title TEXT)")
    connection.close()
    with pytest.raises(JournalError, match="is not a journal: it has the tables songs"):
        open_for_reading(tmp_path)


def test_overwritten_pages_are_said(tmp_path):
    with create(tmp_path, CONFIG, {}) as journal:
        journal.append(notes(*(f"{number}" * 300 for number in range(200))))
    path = tmp_path / journals.FILE
    content = bytearray(path.read_bytes())
    content[12288:] = b"\x55" * (len(content) - 12288)
    path.write_bytes(content)
    with pytest.raises(JournalError, match="damaged"), open_for_reading(tmp_path) as journal:
        journal.events()


READER = """
import os, sys
from nas.record.journal import open_for_reading
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
with open_for_reading(sys.argv[1]) as journal:
    print(len(journal.events()))
"""


@pytest.mark.parametrize("name", ["closed", "killed"])
def test_a_directory_that_cannot_be_written_is_read(tmp_path, name):
    with create(tmp_path / "live", CONFIG, {}) as journal:
        journal.append(notes("a", "b"))
        if name == "closed":
            journal.close()
        run = Path(tempfile.mkdtemp())
        for path in (tmp_path / "live").glob(f"{journals.FILE}*"):
            if not path.name.endswith("-shm"):
                (run / path.name).write_bytes(path.read_bytes())
                (run / path.name).chmod(0o444)
    run.chmod(0o555)
    try:
        finished = subprocess.run(
            [sys.executable, "-c", READER, str(run)], capture_output=True, text=True, check=False
        )
        assert (finished.stdout, finished.stderr) == ("2\n", "")
        assert len(list(run.iterdir())) == (1 if name == "closed" else 2)
    finally:
        run.chmod(0o755)
        shutil.rmtree(run)


def test_a_journal_of_format_1_stays_readable(tmp_path):
    (tmp_path / journals.FILE).write_bytes((GOLDEN / "journal_v1.sqlite").read_bytes())
    expected = json.loads((GOLDEN / "journal_v1.json").read_text())
    with open_for_reading(tmp_path) as journal:
        assert journal.config == expected["config"]
        assert [[event.kind, event.body] for event in journal.events()] == expected["events"]
        history = fold(journal.events())
    assert [trial.number for trial in history.observed] == [0, 2]
    assert history.best is not None
    assert history.best.score == 0.1 + 0.2
    assert history.trials[1].outcome is not None
    assert history.finals[0].seed == 2**62
    assert history.finished == "the budget is spent"
    with open_for_writing(tmp_path) as journal:
        journal.append(notes("again"))
