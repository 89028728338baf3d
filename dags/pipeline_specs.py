"""Whether all pipeline specs are right.

The other DAG files skip a wrong spec so that it takes only its own DAGs away. This file makes no DAG: it
raises what is wrong, with file, line, field and allowed values, and Airflow shows that as an import error.
See docs/adr/0003-wrong-specs.md.
"""

from __future__ import annotations

from pathlib import Path

from airflow_sagemaker.specs.loading import load_pipelines

load_pipelines(Path(__file__).parent.parent / "include").raise_errors()
