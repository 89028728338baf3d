"""SageMaker's SDK 3: a pipeline of sagemaker.mlops from its creation to its end."""

from __future__ import annotations

import uuid


def test_a_pipeline_is_created_started_described_and_listed(sdk, local):
    name, group = f"pipeline-{uuid.uuid4().hex[:12]}", f"group-{uuid.uuid4().hex[:12]}"
    answer = sdk("pipelines.run", name=name, group=group)
    good, bad = answer["executions"]
    assert (good["waited"], good["status"]) == ("Succeeded", "Succeeded")
    assert {step: state["StepStatus"] for step, state in good["steps"].items()} == dict.fromkeys(
        ("Train", "Evaluate", "Check", "Register", "Create", "Score"), "Succeeded"
    )
    assert good["steps"]["Check"]["Metadata"]["Condition"]["Outcome"] == "True"
    assert {each["Name"]: each["Value"] for each in good["parameters"]} == {"Accuracy": "0.95", "Epochs": "4"}
    packages = local.client("sagemaker").list_model_packages(ModelPackageGroupName=group)
    assert [each["ModelApprovalStatus"] for each in packages["ModelPackageSummaryList"]] == ["Approved"]
    scored = local.client("s3").get_object(Bucket="sdk-bucket", Key=f"scored/{name}/a.csv.out")
    assert scored["Body"].read() == b"5,6\n"

    assert "terminal failure state" in bad["waited"]
    assert bad["steps"].keys() == {"Train", "Evaluate", "Check", "Bad"}
    assert bad["steps"]["Bad"]["FailureReason"] == "only 0.5"
    assert "CacheHitResult" in bad["steps"]["Train"]
    assert "CacheHitResult" not in bad["steps"]["Evaluate"]
    assert answer["listed"] == ["Failed", "Succeeded"]
    assert (answer["status"], answer["version"], answer["updated"]) == ("Active", 1, 2)
