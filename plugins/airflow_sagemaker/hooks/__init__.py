"""The only place that talks to AWS: the SDK and boto3 for the worker, aiobotocore for the triggerer."""
