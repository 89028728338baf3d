"""Typed specs of jobs and pipelines: plain pydantic, no Airflow, no AWS client."""
