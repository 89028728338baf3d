import asyncio
import dataclasses

import pytest

from sagemaker_local.errors import ResourceInUse, ValidationException

SLEEP = "#!/usr/bin/env python\nimport time\nprint('ready')\nwhile True: time.sleep(1)\n"
QUICK = "#!/usr/bin/env python\nprint('done')\n"


@pytest.fixture
def settings(settings):
    return dataclasses.replace(settings, max_running_jobs=1)


async def test_jobs_beyond_the_limit_wait_as_pending(jobs, make_image):
    await jobs.train("first", make_image("sleeper", {"train": SLEEP}))
    await jobs.printed("training_job", "first", "ready")
    await jobs.train("second", make_image("quick", {"train": QUICK}))
    waiting = await jobs.until("training_job", "second", lambda found: found["SecondaryStatus"] == "Pending")
    assert waiting["TrainingJobStatus"] == "InProgress"
    assert "TrainingStartTime" not in waiting
    await jobs.call("StopTrainingJob", TrainingJobName="first")
    assert (await jobs.ended("training_job", "second"))["TrainingJobStatus"] == "Completed"


async def test_a_waiting_job_stops_at_once_and_leaves_its_place_to_others(jobs, make_image):
    await jobs.train("first", make_image("sleeper", {"train": SLEEP}))
    await jobs.printed("training_job", "first", "ready")
    await jobs.process("second", make_image("quick", {"train": QUICK}))
    await jobs.call("StopProcessingJob", ProcessingJobName="second")
    assert (await jobs.ended("processing_job", "second"))["ProcessingJobStatus"] == "Stopped"
    assert jobs.document("training_job", "first")["TrainingJobStatus"] == "InProgress"
    await jobs.call("StopTrainingJob", TrainingJobName="first")
    await jobs.ended("training_job", "first")
    await jobs.process("third", make_image("quick", {"train": QUICK}))
    assert (await jobs.ended("processing_job", "third"))["ProcessingJobStatus"] == "Completed"


async def test_a_job_that_waits_too_long_for_its_place_is_stopped(jobs, make_image):
    await jobs.train("first", make_image("sleeper", {"train": SLEEP}))
    await jobs.printed("training_job", "first", "ready")
    await jobs.train(
        "second",
        make_image("quick", {"train": QUICK}),
        StoppingCondition={"MaxRuntimeInSeconds": 60, "MaxPendingTimeInSeconds": 1},
    )
    document = await jobs.ended("training_job", "second")
    assert document["TrainingJobStatus"] == document["SecondaryStatus"] == "Stopped"
    assert "waited for a place longer than MaxPendingTimeInSeconds (1)" in document["FailureReason"]
    assert "TrainingStartTime" not in document


async def test_who_waits_for_a_jobs_end_sees_it(jobs, make_image):
    await jobs.train("name", make_image("quick", {"train": QUICK}))
    await jobs.engine.ended("training_job", "name")
    assert jobs.document("training_job", "name")["TrainingJobStatus"] == "Completed"
    await jobs.engine.ended("training_job", "name")
    await jobs.engine.ended("training_job", "nobody")


async def test_a_stop_in_the_moment_of_a_jobs_end_leaves_its_end(jobs, make_image, monkeypatch):
    """As searches and pipelines ask for it, who do not look at the job's record before."""
    monkeypatch.setattr(
        jobs.engine.warm_pools, "release", lambda name: jobs.engine.stop("training_job", name)
    )
    await jobs.train("name", make_image("quick", {"train": QUICK}))
    await jobs.engine.ended("training_job", "name")
    assert jobs.document("training_job", "name")["TrainingJobStatus"] == "Completed"


async def test_a_name_is_taken_for_ever_and_a_finished_job_cannot_be_stopped(jobs, make_image):
    uri = make_image("quick", {"train": QUICK})
    await jobs.train("name", uri)
    await jobs.ended("training_job", "name")
    with pytest.raises(ResourceInUse, match="already exists"):
        await jobs.train("name", uri)
    with pytest.raises(ValidationException, match="is in status Completed"):
        await jobs.call("StopTrainingJob", TrainingJobName="name")


async def test_a_job_in_use_cannot_be_deleted_and_a_finished_one_can(jobs, make_image):
    await jobs.train("name", make_image("sleeper", {"train": SLEEP}))
    with pytest.raises(ResourceInUse, match="stop it"):
        await jobs.call("DeleteTrainingJob", TrainingJobName="name")
    await jobs.call("StopTrainingJob", TrainingJobName="name")
    await jobs.ended("training_job", "name")
    await jobs.call("DeleteTrainingJob", TrainingJobName="name")
    with pytest.raises(ValidationException, match="not found"):
        await jobs.call("DescribeTrainingJob", TrainingJobName="name")


async def test_a_job_created_anew_as_its_namesake_goes_can_be_stopped(jobs, make_image, monkeypatch):
    uri = make_image("sleeper", {"train": SLEEP})
    release, anew = jobs.engine.warm_pools.release, list[asyncio.Task[None]]()

    async def delete_and_create():
        await jobs.call("DeleteTrainingJob", TrainingJobName="name")
        await jobs.train("name", uri)

    def with_requests_waiting(name):
        release(name)
        if not anew:
            anew.append(asyncio.create_task(delete_and_create()))

    monkeypatch.setattr(jobs.engine.warm_pools, "release", with_requests_waiting)
    await jobs.train("name", uri)
    await jobs.call("StopTrainingJob", TrainingJobName="name")
    await jobs.engine.ended("training_job", "name")
    await anew[0]
    assert jobs.document("training_job", "name")["TrainingJobStatus"] == "InProgress"
    await jobs.call("StopTrainingJob", TrainingJobName="name")
    assert (await jobs.ended("training_job", "name"))["TrainingJobStatus"] == "Stopped"


async def test_a_server_that_ends_fails_what_runs_and_takes_up_what_waits(jobs, make_image, settings):
    await jobs.train("running", make_image("sleeper", {"train": SLEEP}))
    await jobs.printed("training_job", "running", "ready")
    await jobs.train("waiting", make_image("quick", {"train": QUICK}))
    await asyncio.sleep(0)
    await jobs.engine.close()
    failed = jobs.document("training_job", "running")
    assert failed["TrainingJobStatus"] == "Failed"
    assert failed["FailureReason"].startswith("InternalServerError: the local SageMaker ended")
    assert jobs.document("training_job", "waiting")["TrainingJobStatus"] == "InProgress"

    await jobs.engine.start()
    document = await jobs.ended("training_job", "waiting")
    assert document["TrainingJobStatus"] == "Completed"
    assert document["SecondaryStatusTransitions"][0]["Status"] == "Starting"
    assert jobs.document("training_job", "running") == failed


async def test_a_job_that_was_stopping_when_the_server_died_is_stopped_at_the_next_start(jobs, make_image):
    await jobs.train("name", make_image("sleeper", {"train": SLEEP}))
    await jobs.printed("training_job", "name", "ready")
    await jobs.engine.close()

    def dying(record):
        record.document |= {"TrainingJobStatus": "Stopping", "SecondaryStatus": "Stopping"}

    jobs.store.update("training_job", "name", dying)
    (jobs.settings.data_dir / "jobs" / "training_job" / "name").mkdir(parents=True)
    await jobs.engine.start()
    assert jobs.document("training_job", "name")["TrainingJobStatus"] == "Stopped"
    assert not (jobs.settings.data_dir / "jobs").exists()


async def test_a_defect_of_the_server_ends_the_job_with_its_reason(jobs, make_image, monkeypatch):
    async def broken(*_):
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(jobs.executor, "start", broken)
    await jobs.train("name", make_image("quick", {"train": QUICK}))
    document = await jobs.ended("training_job", "name")
    assert document["FailureReason"].startswith(
        "InternalServerError: the local SageMaker failed: ZeroDivisionError"
    )


async def test_a_program_that_has_ended_has_no_instance_whose_process_is_watched(
    jobs, make_image, monkeypatch
):
    """Its number may be another process's while its model is uploaded."""
    seen = []
    put = jobs.objects.put

    def note(*arguments):
        seen.append(jobs.engine.instances())
        return put(*arguments)

    monkeypatch.setattr(jobs.objects, "put", note)
    await jobs.train("name", make_image("quick", {"train": QUICK}))
    await jobs.ended("training_job", "name")
    assert seen
    assert not any(seen)
