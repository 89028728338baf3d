"""``python -m sagemaker_local`` is the ``sagemaker-local`` command."""

from sagemaker_local.cli import main

raise SystemExit(main())
