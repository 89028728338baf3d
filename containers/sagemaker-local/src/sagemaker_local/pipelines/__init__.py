"""SageMaker Pipelines: a JSON definition, read into a graph and executed step by step."""
