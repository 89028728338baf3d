import pytest

from sagemaker_local.errors import SerializationException, ValidationException
from sagemaker_local.protocol import service_model
from sagemaker_local.validation import validate

TRAINING = {
    "TrainingJobName": "name",
    "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
    "RoleArn": "arn:aws:iam::123456789012:role/sagemaker",
    "OutputDataConfig": {"S3OutputPath": "s3://bucket/path"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
    "StoppingCondition": {"MaxRuntimeInSeconds": 60},
}


def check(operation, request):
    validate(service_model("sagemaker").operation_model(operation).input_shape, request)


def refused(operation, request):
    with pytest.raises(ValidationException) as caught:
        check(operation, request)
    return caught.value.message


def test_a_good_request_passes():
    check("CreateTrainingJob", TRAINING)


def test_all_missing_members_are_named_in_one_error():
    assert refused("CreateEndpointConfig", {}) == (
        "2 validation errors detected: "
        "Value null at 'endpointConfigName' failed to satisfy constraint: Member must not be null; "
        "Value null at 'productionVariants' failed to satisfy constraint: Member must not be null"
    )


@pytest.mark.parametrize(
    ("change", "where", "text"),
    [
        (
            {"TrainingJobName": "under_score"},
            "'trainingJobName' failed",
            "satisfy regular expression pattern",
        ),
        (
            {"RoleArn": "arn:aws:iam::123456789012:role/" + "a" * 2048},
            "'roleArn'",
            "less than or equal to 2048",
        ),
        (
            {"AlgorithmSpecification": {"TrainingInputMode": "Fast"}},
            "'algorithmSpecification.trainingInputMode'",
            "Member must satisfy enum value set: [Pipe, File, FastFile]",
        ),
        (
            {"ResourceConfig": {"InstanceCount": -1}},
            "'resourceConfig.instanceCount'",
            "Member must have value greater than or equal to 0",
        ),
        (
            {"Tags": [{"Key": "k", "Value": "v"}, {"Key": "k"}]},
            "'tags.2.member.value'",
            "Member must not be null",
        ),
        (
            {"HyperParameters": {"k": "v" * 2501}},
            "'hyperParameters.k.value'",
            "Member must have length less than or equal to 2500",
        ),
        (
            {"HyperParameters": {str(n): "v" for n in range(101)}},
            "'hyperParameters'",
            "less than or equal to 100",
        ),
        (
            {"OutputDataConfig": {"S3OutputPath": "bucket/path"}},
            "'outputDataConfig.s3OutputPath'",
            "(https|s3)",
        ),
    ],
)
def test_each_kind_of_constraint(change, where, text):
    message = refused("CreateTrainingJob", {**TRAINING, **change})
    assert message.startswith("1 validation error detected: ")
    assert where in message
    assert text in message


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"TrainingJobName": 1}, "'trainingJobName' must be a string, not int"),
        ({"Tags": {}}, "'tags' must be a list, not dict"),
        ({"HyperParameters": []}, "'hyperParameters' must be a structure, not list"),
        ({"EnableNetworkIsolation": "true"}, "must be a bool"),
        ({"ResourceConfig": {"InstanceCount": 1.5}}, "must be an integer"),
        ({"ResourceConfig": {"InstanceCount": True}}, "must be an integer"),
        ({"Bogus": 1}, "Unknown member 'Bogus'"),
    ],
)
def test_wrong_types_and_unknown_members_are_no_requests_at_all(change, text):
    with pytest.raises(SerializationException, match=text):
        check("CreateTrainingJob", {**TRAINING, **change})


def test_null_members_count_as_absent_and_whole_floats_as_integers():
    check("CreateTrainingJob", {**TRAINING, "Tags": None, "StoppingCondition": {"MaxRuntimeInSeconds": 60.0}})


def test_an_operation_without_input_takes_anything():
    validate(None, {})


def test_every_pattern_of_the_services_compiles_or_is_known_not_to():
    from sagemaker_local.validation import UNENFORCED_PATTERN_PART, _compiled

    for service in ("sagemaker", "logs"):
        model = service_model(service)
        for name in model.shape_names:
            pattern = model.shape_for(name).metadata.get("pattern")
            if pattern:
                assert _compiled(pattern) is not None or UNENFORCED_PATTERN_PART in pattern, (name, pattern)
