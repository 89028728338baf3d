"""A durable object store with Amazon S3's REST-XML interface: blobs as files, the index in SQLite.

:mod:`~sagemaker_local.s3.object_store` is the store, for other parts of the server;
:mod:`~sagemaker_local.s3.app` puts S3's wire protocol in front of it.
"""
