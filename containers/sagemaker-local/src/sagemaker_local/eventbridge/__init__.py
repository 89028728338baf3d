"""What EventBridge is told of SageMaker, and what its rules do with it."""
