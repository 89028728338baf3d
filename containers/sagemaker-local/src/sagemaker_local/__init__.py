"""A SageMaker for one machine: AWS's wire protocol in front, real processes behind.

Start it with ``sagemaker-local --port 4566 --data DIR`` and point any AWS client at it. The architecture is
on one page in :mod:`sagemaker_local.app`.
"""
