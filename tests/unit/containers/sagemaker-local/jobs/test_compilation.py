import pytest

from sagemaker_local.api.compilation_job import artefact_uri

LINUX = {"TargetPlatform": {"Os": "LINUX", "Arch": "X86_64"}}


@pytest.mark.parametrize(
    ("model", "output", "uri"),
    [
        ("s3://b/x/model.tar.gz", {"TargetDevice": "ml_c5"}, "s3://b/out/model-ml_c5.tar.gz"),
        ("s3://b/forest.tgz", LINUX, "s3://b/out/forest-LINUX_X86_64.tar.gz"),
        (
            "s3://b/m.tar.gz",
            {"TargetPlatform": {"Os": "LINUX", "Arch": "ARM64", "Accelerator": "NVIDIA"}},
            "s3://b/out/m-LINUX_ARM64_NVIDIA.tar.gz",
        ),
    ],
)
def test_results_are_named_as_neo_names_them(model, output, uri):
    assert artefact_uri(model, {"S3OutputLocation": "s3://b/out/", **output}) == uri


async def compile_(jobs, **more):
    request = {
        "CompilationJobName": "c1",
        "RoleArn": "arn:aws:iam::123456789012:role/sagemaker",
        "InputConfig": {
            "S3Uri": "s3://bucket/model.tar.gz",
            "DataInputConfig": '{"input": [1, 64]}',
            "Framework": "SKLEARN",
        },
        "OutputConfig": {"S3OutputLocation": "s3://bucket/compiled", "TargetDevice": "ml_c5"},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }
    await jobs.call("CreateCompilationJob", **(request | more))
    return await jobs.ended("compilation_job", "c1")


@pytest.fixture
def compiler(monkeypatch, tmp_path):
    """A compiler of the test's own in place of Neo's."""
    from sagemaker_local import neo

    (tmp_path / "requirements.txt").write_text("")
    source = tmp_path / "compiler"
    source.mkdir()

    def install(text):
        (source / "main.py").write_text(
            "import json, os, pathlib, shutil, sys\n"
            "base = pathlib.Path(os.environ.get('SAGEMAKER_BASE_DIR', '/opt/ml'))\n" + text
        )
        program = neo.CompilerProgram(tmp_path / "requirements.txt", source, ("python", "main.py"))
        monkeypatch.setattr(neo, "compiler_program", lambda framework: program)

    return install


async def test_what_the_compiler_leaves_is_uploaded(jobs, compiler):
    compiler("""
request = json.loads((base / "input/config/compilationjob.json").read_text())
print(request["InputConfig"]["Framework"], request["OutputConfig"]["TargetDevice"], request["Tags"])
shutil.copy(base / "input/model/model.tar.gz", base / "output/compiled.tar.gz")
""")
    jobs.put("model.tar.gz", b"model")
    document = await compile_(jobs, Tags=[{"Key": "compilation:if-not-faster", "Value": "fail"}])
    assert document["CompilationJobStatus"] == "COMPLETED", document
    assert document["FailureReason"] == ""
    assert document["CompilationStartTime"] <= document["CompilationEndTime"]
    assert jobs.read("compiled/model-ml_c5.tar.gz") == b"model"
    assert jobs.lines("compilation_job", "c1") == ["SKLEARN ml_c5 {'compilation:if-not-faster': 'fail'}"]


async def test_the_compilers_reason_is_the_jobs(jobs, compiler):
    compiler("(base / 'output/failure').write_text('input has 64 features, not 63'); sys.exit(1)")
    jobs.put("model.tar.gz", b"model")
    document = await compile_(jobs)
    assert document["CompilationJobStatus"] == "FAILED"
    assert document["FailureReason"] == "ClientError: CompilationError: input has 64 features, not 63"


async def test_a_missing_model_fails_the_job(jobs, compiler):
    compiler("")
    document = await compile_(jobs)
    assert "s3://bucket/model.tar.gz cannot be downloaded: NoSuchKey" in document["FailureReason"]


async def test_a_framework_without_a_compiler_names_those_that_there_are(jobs):
    given = {"S3Uri": "s3://bucket/m.tar.gz", "DataInputConfig": "{}", "Framework": "DARKNET"}
    document = await compile_(jobs, InputConfig=given)
    assert document["FailureReason"].startswith("ClientError: Framework DARKNET cannot be compiled")
    assert "SKLEARN" in document["FailureReason"]
