from sagemaker_local.jobs.metrics import MetricReader


def test_the_last_value_of_each_metric_counts():
    metrics = MetricReader(
        [{"Name": "loss", "Regex": r"loss=(\S+)"}, {"Name": "auc", "Regex": r"auc: ([0-9.]+)"}]
    )
    for line in ("loss=0.5 auc: 0.8", "loss=0.25", "loss=nothing", "unrelated"):
        metrics.read(line)
    assert [(found["MetricName"], found["Value"]) for found in metrics.final()] == [
        ("loss", 0.25),
        ("auc", 0.8),
    ]


def test_definitions_that_cannot_be_read_are_left_out():
    metrics = MetricReader([{"Name": "a", "Regex": "("}, {"Name": "b", "Regex": "no group"}])
    metrics.read("no group")
    assert metrics.final() == []
