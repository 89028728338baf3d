import pytest

from sagemaker_local.api.listing import list_page
from sagemaker_local.errors import ValidationException
from sagemaker_local.store import Record, Store


def records(*times):
    return [
        Record("job", f"job-{at}-{n}", f"arn:{n}",
               {"JobName": f"job-{at}-{n}", "JobStatus": ("Even", "Odd")[n % 2],
                "CreationTime": float(at), "LastModifiedTime": float(at)})
        for n, at in enumerate(times)
    ]  # fmt: skip


def names(found, **request):
    page = list_page(
        found,
        request,
        name_field="JobName",
        status_field="JobStatus",
        summary=lambda record: {"JobName": record.name},
        summaries_field="Jobs",
    )
    return [job["JobName"] for job in page["Jobs"]], page.get("NextToken")


def test_newest_first_unless_asked_otherwise():
    assert names(records(1, 3, 2))[0] == ["job-3-1", "job-2-2", "job-1-0"]
    assert names(records(1, 3, 2), SortOrder="Ascending")[0] == ["job-1-0", "job-2-2", "job-3-1"]
    assert names(records(2, 1), SortBy="Name", SortOrder="Ascending")[0] == ["job-1-1", "job-2-0"]
    assert names(records(1, 2, 3), SortBy="Status", SortOrder="Ascending")[0] == [
        "job-1-0",
        "job-3-2",
        "job-2-1",
    ]


def test_filters():
    found = records(1, 2, 3, 4)
    assert names(found, NameContains="JOB-2")[0] == ["job-2-1"]
    assert names(found, StatusEquals="Even")[0] == ["job-3-2", "job-1-0"]
    assert names(found, CreationTimeAfter=1.5, LastModifiedTimeBefore=3.5)[0] == ["job-3-2", "job-2-1"]


def test_a_time_that_is_no_number_is_refused():
    with pytest.raises(ValidationException, match="seconds since the epoch"):
        names(records(1), CreationTimeAfter="yesterday")


def test_pages_of_equal_times_neither_repeat_nor_skip():
    found = records(*[1] * 25)
    seen, token = names(found)
    assert len(seen) == 10
    while token:
        page, token = names(found, NextToken=token, MaxResults=10)
        seen += page
    assert sorted(seen) == sorted(record.name for record in found)
    assert len(set(seen)) == 25


def test_a_full_last_page_has_no_token():
    assert names(records(1, 2), MaxResults=2)[1] is None


@pytest.mark.parametrize("order", ["Ascending", "Descending"])
def test_a_record_deleted_between_two_pages_does_not_end_the_listing(order):
    found = records(1, 2, 3, 4)
    first, token = names(found, MaxResults=2, SortOrder=order)
    left = [record for record in found if record.name not in first]
    assert sorted(names(left, NextToken=token, SortOrder=order)[0]) == [record.name for record in left]


@pytest.mark.parametrize("token", ["é", "abc", "bm90aGluZw==", "W10="])
def test_a_foreign_token_is_refused(token):
    with pytest.raises(ValidationException, match="Invalid NextToken"):
        names(records(1), NextToken=token)


def test_an_order_is_kept_until_a_record_changes(tmp_path):
    store = Store(tmp_path / "store.sqlite")
    for found in records(1, 3, 2):
        store.insert(found)
    assert names(store.list("job"))[0] == ["job-3-1", "job-2-2", "job-1-0"]
    assert names(store.list("job"), StatusEquals="Even")[0] == ["job-2-2", "job-1-0"]
    assert names(store.list("job"), SortOrder="Ascending")[0] == ["job-1-0", "job-2-2", "job-3-1"]
    store.update("job", "job-1-0", lambda found: found.document.update(CreationTime=4.0))
    assert names(store.list("job"))[0] == ["job-1-0", "job-3-1", "job-2-2"]
    store.close()
