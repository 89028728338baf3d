import sqlite3
import threading

import pytest

from sagemaker_local.store import AlreadyExists, NotFound, Record, Store


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "store.sqlite")
    yield opened
    opened.close()


def record(name="a", kind="model", **document):
    return Record(kind, name, f"arn:aws:sagemaker:us-east-1:123456789012:{kind}/{name}", document)


def test_a_record_is_there_after_reopening(tmp_path):
    store = Store(tmp_path / "store.sqlite")
    store.insert(record(Size=1), {"team": "a"})
    store.close()
    again = Store(tmp_path / "store.sqlite")
    assert again.get("model", "a").document == {"Size": 1}
    assert again.get_by_arn(record().arn).name == "a"
    assert again.tags(record().arn) == {"team": "a"}
    again.close()


def test_a_name_is_unique_within_its_kind_and_the_loser_leaves_no_tags(store):
    store.insert(record())
    with pytest.raises(AlreadyExists):
        store.insert(record(), {"late": "1"})
    store.insert(record(kind="endpoint"))
    assert store.tags(record().arn) == {}


def test_reading_gives_a_copy_and_update_writes_back(store):
    store.insert(record(Size=1))
    store.get("model", "a").document["Size"] = 2
    assert store.get("model", "a").document == {"Size": 1}
    written = store.update("model", "a", lambda found: found.document.update(Size=3))
    assert store.get("model", "a") == written


def test_a_change_that_fails_changes_nothing(store):
    store.insert(record(Size=1))

    def half(found):
        found.document["Size"] = 2
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.update("model", "a", half)
    assert store.get("model", "a").document == {"Size": 1}


def test_a_transaction_spans_several_writes(store):
    def two_and_a_failure():
        with store.transaction():
            store.insert(record("a"))
            store.insert(record("b"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        two_and_a_failure()
    assert store.list("model") == []


@pytest.mark.parametrize("call", ["get", "delete"])
def test_what_is_not_there_is_not_found(store, call):
    with pytest.raises(NotFound):
        getattr(store, call)("model", "nobody")
    with pytest.raises(NotFound):
        store.update("model", "nobody", lambda found: None)
    with pytest.raises(NotFound):
        store.get_by_arn("arn:nobody")


def test_delete_takes_the_tags_along(store):
    store.insert(record(), {"team": "a"})
    store.delete("model", "a")
    store.insert(record())
    assert store.tags(record().arn) == {}


def test_tags_are_overwritten_and_removed(store):
    store.insert(record(), {"a": "1", "b": "2"})
    store.add_tags(record().arn, {"b": "3", "c": "4"})
    store.delete_tags(record().arn, ["a", "missing"])
    assert store.tags(record().arn) == {"b": "3", "c": "4"}


def test_a_counter_never_gives_a_number_twice_to_any_thread(store):
    numbers = []

    def count():
        for _ in range(50):
            numbers.append(store.next_number("versions"))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 201))
    assert store.next_number("other") == 1


def test_the_log_is_written_ahead(store, tmp_path):
    with sqlite3.connect(tmp_path / "store.sqlite") as other:
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)


class Watching:
    """Notes what the store tells."""

    def __init__(self):
        self.told = []

    def state(self, record):
        return record.document.get("Status")

    def created(self, record):
        self.told.append((record.name, None, record.document["Status"]))

    def changed(self, record, earlier):
        self.told.append((record.name, earlier, record.document["Status"]))


def test_a_watcher_is_told_of_changes_of_state_once_they_are_committed(store):
    store.watcher = Watching()
    with store.transaction():
        store.insert(record(Status="New"))
        store.update("model", "a", lambda found: found.document.update(Status="Old"))
        assert store.watcher.told == []
    store.update("model", "a", lambda found: found.document.update(Size=1))
    store.insert(record("unwatched"))
    assert store.watcher.told == [("a", None, "New"), ("a", "New", "Old")]


def test_a_watcher_is_told_nothing_of_what_was_taken_back(store):
    store.insert(record(Status="New"))
    store.watcher = Watching()

    def change_and_fail():
        with store.transaction():
            store.update("model", "a", lambda found: found.document.update(Status="Old"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change_and_fail()
    store.update("model", "a", lambda found: found.document.update(Status="Late"))
    assert store.watcher.told == [("a", "New", "Late")]


def test_a_list_is_in_order_and_follows_every_change(store):
    def listed():
        return [(found.name, found.document.get("Size")) for found in store.list("model")]

    store.insert(record("b"))
    store.insert(record("c"))
    assert listed() == [("b", None), ("c", None)]
    store.list("model").clear()  # the caller's own list
    assert listed() == [("b", None), ("c", None)]
    store.insert(record("a"))
    store.update("model", "c", lambda found: found.document.update(Size=3))
    assert listed() == [("a", None), ("b", None), ("c", 3)]
    store.delete("model", "b")
    assert listed() == [("a", None), ("c", 3)]


def test_a_list_tells_nothing_of_what_was_taken_back(store):
    store.insert(record("a", Size=1))

    def half():
        with store.transaction():
            store.update("model", "a", lambda found: found.document.update(Size=2))
            assert store.list("model")[0].document["Size"] == 2
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert store.list("model")[0].document["Size"] == 1
