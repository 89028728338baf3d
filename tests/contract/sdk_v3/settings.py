"""What all scenarios use."""

from __future__ import annotations

from pathlib import Path

BUCKET = "sdk-bucket"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/echo:1"
INSTANCE = "ml.m5.large"
PROGRAMS = str(Path(__file__).parent / "programs")
ROLE = "arn:aws:iam::123456789012:role/sagemaker"
SCIKIT_LEARN = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.4-2-cpu-py3"
