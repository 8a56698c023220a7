"""Results in a file."""

import sqlite3

import pytest

from sparsat.sim.explore.database import Database, Screened, Simulated

ONE = Screened("one", 0, 1000.5, 2e8, 0.1, 3.0)
BAD = Screened("bad", 2, 1.0, 2e8, error="does not fit")


def test_what_was_added_is_there_again(tmp_path):
    path = tmp_path / "results.sqlite"
    with Database(path, {"model": "a"}) as database:
        for result in (ONE, BAD, Simulated("one", 0.2, 3.1, 5.0, 6.0, 0.9)):
            database.add(result)
    with Database(path, {"model": "a"}) as database:
        assert database.screened() == {"one": ONE, "bad": BAD}
        assert database.simulated()["one"].gflops_dense == 6.0


def test_studies_do_not_mix(tmp_path):
    path = tmp_path / "results.sqlite"
    with Database(path, {"seed": 1}) as database:
        database.add(ONE)
    with Database(path, {"seed": 2}) as database:
        assert database.screened() == {}


def test_a_second_result_of_a_design_is_refused(tmp_path):
    with Database(tmp_path / "results.sqlite", {}) as database:
        database.add(ONE)
        with pytest.raises(sqlite3.IntegrityError):
            database.add(ONE)


def test_only_one_process_explores_into_a_file(tmp_path):
    path = tmp_path / "results.sqlite"
    with Database(path, {}), pytest.raises(OSError, match="nobody else uses"):
        Database(path, {})


@pytest.mark.parametrize("content", [b"not a database, but long enough to be read", None])
def test_what_is_no_database_is_refused(tmp_path, content):
    path = tmp_path / "results.sqlite"
    if content is None:
        with sqlite3.connect(path) as file:
            file.execute("PRAGMA user_version = 7")
        file.close()
    else:
        path.write_bytes(content)
    with pytest.raises(OSError, match=r"results\.sqlite.*(not a database|schema 7)"):
        Database(path, {})
