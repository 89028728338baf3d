"""Programs that compile models; run as ``python -m compilers.<name>`` in the directory above.

They import one another relatively only, because in the sandbox there is no package ``sagemaker_local``.
"""
