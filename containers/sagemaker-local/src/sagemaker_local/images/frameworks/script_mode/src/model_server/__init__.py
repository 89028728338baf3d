"""Serves models as AWS's framework images do: /ping and /invocations, scripts with model_fn and so on.

The functions run in AWS's own ``sagemaker-inference``. In front of it AWS has multi-model-server or
TorchServe, in Java; here it is a small ASGI application under uvicorn: it starts in half a second, needs no
Java and a tenth of the memory, and the scripts cannot tell.
"""
