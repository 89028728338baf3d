import asyncio
import json
import threading

from sagemaker_local.jobs.outputs import SIDE_BY_SIDE

PROGRAM = "#!/usr/bin/env python\nimport os, pathlib, sys, time\nbase = pathlib.Path('/opt/ml/processing')\n"


def s3_input(uri, **more):
    given = {
        "S3Uri": uri,
        "LocalPath": "/opt/ml/processing/input/raw",
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
    }
    return {"InputName": "raw", "S3Input": {**given, **more}}


def s3_output(uri):
    path = "/opt/ml/processing/output/all"
    return {
        "Outputs": [
            {"OutputName": "all", "S3Output": {"S3Uri": uri, "LocalPath": path, "S3UploadMode": "EndOfJob"}}
        ]
    }


async def test_inputs_reach_the_program_and_outputs_reach_s3(jobs, make_image):
    uri = make_image("prepare", {"train": PROGRAM + """
for path in sorted((base / "input/raw").rglob("*.csv")):
    target = base / "output/all" / path.relative_to(base / "input/raw")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(path.read_text() + " ".join(sys.argv[1:]) + os.environ["COLOUR"])
pathlib.Path("/opt/ml/output/message").write_text("42 rows")
print(pathlib.Path("/opt/ml/config/processingjobconfig.json").read_text())
"""})  # fmt: skip
    jobs.put("raw/dt=1/data.csv", b"a ")
    jobs.put("raw/dt=2/data.csv", b"b ")
    jobs.put("raw/dt=3/", b"")
    await jobs.process(
        "p1",
        uri,
        AppSpecification={
            "ImageUri": uri,
            "ContainerEntrypoint": ["train"],
            "ContainerArguments": ["--mode", "x"],
        },
        Environment={"COLOUR": " red"},
        ProcessingInputs=[s3_input("s3://bucket/raw")],
        ProcessingOutputConfig=s3_output("s3://bucket/out"),
    )
    document = await jobs.ended("processing_job", "p1")
    assert document["ProcessingJobStatus"] == "Completed", document
    assert document["ExitMessage"] == "42 rows"
    assert jobs.keys("out/") == ["out/dt=1/data.csv", "out/dt=2/data.csv"]
    assert jobs.read("out/dt=2/data.csv") == b"b --mode x red"
    configuration = json.loads(jobs.lines("processing_job", "p1")[0])
    assert configuration["ProcessingJobName"] == "p1"


async def test_a_manifest_names_its_files(jobs, make_image):
    uri = make_image("prepare", {"train": PROGRAM + """
print(sorted(str(path.relative_to(base)) for path in base.rglob("*.csv")))
"""})  # fmt: skip
    jobs.put("raw/a/1.csv", b"1")
    jobs.put("raw/b/2.csv", b"2")
    jobs.put("raw/manifest", json.dumps([{"prefix": "s3://bucket/raw/"}, "b/2.csv"]).encode())
    source = s3_input("s3://bucket/raw/manifest", S3DataType="ManifestFile")
    await jobs.process("p1", uri, ProcessingInputs=[source])
    await jobs.ended("processing_job", "p1")
    assert jobs.lines("processing_job", "p1") == ["['input/raw/b/2.csv']"]


async def test_a_failed_program_uploads_nothing(jobs, make_image):
    uri = make_image(
        "prepare", {"train": PROGRAM + "(base / 'output/all/half').touch()\nsys.exit('no rows')"}
    )
    await jobs.process("p1", uri, ProcessingOutputConfig=s3_output("s3://bucket/out"))
    document = await jobs.ended("processing_job", "p1")
    assert document["ProcessingJobStatus"] == "Failed"
    assert document["FailureReason"] == "AlgorithmError: no rows, exit code: 1"
    assert jobs.keys("out/") == []


async def test_a_job_past_its_time_is_stopped_with_the_limit_in_the_reason(jobs, make_image):
    uri = make_image("prepare", {"train": PROGRAM + "time.sleep(600)"})
    await jobs.process("p1", uri, StoppingCondition={"MaxRuntimeInSeconds": 1})
    document = await jobs.ended("processing_job", "p1")
    assert document["ProcessingJobStatus"] == "Stopped"
    assert "MaxRuntimeInSeconds (1)" in document["FailureReason"]


async def test_a_key_never_leads_out_of_its_directory(jobs, make_image):
    jobs.put("raw/../../escape", b"x")
    await jobs.process(
        "p1", make_image("prepare", {"train": PROGRAM}), ProcessingInputs=[s3_input("s3://bucket/raw")]
    )
    document = await jobs.ended("processing_job", "p1")
    assert "cannot be a file path" in document["FailureReason"]


async def test_a_job_stopped_in_its_uploads_ends_when_they_have_ended(jobs, make_image, monkeypatch):
    begun, go_on, put = threading.Event(), threading.Event(), jobs.objects.put

    def slow(bucket, key, path):
        begun.set()
        assert go_on.wait(60)
        return put(bucket, key, path)

    program = "for number in range(20): (base / 'output/all' / str(number)).touch()\n"
    uri = make_image("reporter", {"train": PROGRAM + program})
    monkeypatch.setattr(jobs.objects, "put", slow)
    await jobs.process("p1", uri, ProcessingOutputConfig=s3_output("s3://bucket/report"))
    assert await asyncio.to_thread(begun.wait, 60)
    await jobs.call("StopProcessingJob", ProcessingJobName="p1")
    ended = asyncio.create_task(jobs.engine.ended("processing_job", "p1"))
    await asyncio.wait({ended}, timeout=0.5)
    assert jobs.document("processing_job", "p1")["ProcessingJobStatus"] == "Stopping"
    go_on.set()
    await ended
    assert jobs.document("processing_job", "p1")["ProcessingJobStatus"] == "Stopped"
    # Those that were under way, whole; nothing was begun afterwards.
    assert 1 <= len(jobs.keys("report/")) <= SIDE_BY_SIDE
