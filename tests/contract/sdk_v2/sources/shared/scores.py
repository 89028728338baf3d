"""A module that several scripts use (`dependencies` of an estimator)."""


def share_right(predicted, labels):
    return sum(int(one == other) for one, other in zip(predicted, labels, strict=True)) / len(labels)
