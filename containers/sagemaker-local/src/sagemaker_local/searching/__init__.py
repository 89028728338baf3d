"""SageMaker Search: filters over the records of many kinds."""
