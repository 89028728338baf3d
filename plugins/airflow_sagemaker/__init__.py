"""Amazon SageMaker for Airflow 3.3: jobs that run exactly once, declared as specs.

How a DAG names things
----------------------
Give the DAG the macros of :mod:`airflow_sagemaker.names` once, then every prefix is a template::

    from airflow_sagemaker.names import TEMPLATE_MACROS
    from airflow_sagemaker.operators.training import TrainingJobOperator
    from airflow_sagemaker.specs.training import Channel, TrainingJob

    with DAG("digits__model_build", user_defined_macros=TEMPLATE_MACROS, ...):
        TrainingJobOperator(
            task_id="train",
            job=TrainingJob(
                image="digits",                                    # -> <image_registry>/digits:latest
                hyperparameters={"C": "{{ params.C }}"},
                channels={"train": Channel(source="digits/builds/{{ run_key(run_id) }}/train/")},
                output="digits/builds/{{ run_key(run_id) }}/training/",   # -> s3://<bucket>/digits/...
            ),
        )

``run_key(run_id)`` is a short, stable slug of the run (letters, digits and hyphens; never the clock).
``partition(logical_date)`` gives ``YYYY-MM-DD`` for a prefix ``dt=...``.

* Every ``str`` in a spec may hold Jinja: the operator renders the dumped spec and validates it again.
* A location without ``s3://`` is relative to the connection's bucket; an image without ``/`` is resolved
  against the connection's image registry.
* Results of earlier tasks are small XComs:
  ``"{{ ti.xcom_pull(task_ids='train')['model_uri'] }}"``.
* Job names are made by the operator from dag, run, task and map index
  (:func:`airflow_sagemaker.names.job_name`); a DAG never gives one.

The connection (``aws_sagemaker`` unless told otherwise, type ``aws``) holds, beside what the Amazon
provider knows, one object under the extra key ``sagemaker``: ``bucket``, ``role_arn``, and optionally
``image_registry`` and ``poll_interval_s``; see :mod:`airflow_sagemaker.specs.connection`.
"""

from __future__ import annotations

__version__ = "0.1.0"
