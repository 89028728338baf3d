"""What a run would do, shown beforehand: `python -m airflow_sagemaker plan`."""
