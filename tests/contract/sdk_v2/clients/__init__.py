"""Programs for the SageMaker SDK 2.x; they run in its environment and know nothing of a local SageMaker."""
