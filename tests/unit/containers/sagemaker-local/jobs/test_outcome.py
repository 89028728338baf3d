from sagemaker_local.jobs.outcome import CUT, algorithm_error


def test_a_short_reason_is_kept_whole():
    assert str(algorithm_error("bad data", 2)) == "AlgorithmError: bad data, exit code: 2"


def test_a_long_reason_keeps_its_start_its_end_and_the_exit_code():
    reason = str(algorithm_error("START" + "x" * 5000 + "END", 137))
    assert len(reason) == 1024
    assert reason.startswith("AlgorithmError: START")
    assert CUT in reason
    assert reason.endswith("END, exit code: 137")
