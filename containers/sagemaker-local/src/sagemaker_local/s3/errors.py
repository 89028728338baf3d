"""S3's errors: code, HTTP status and AWS's wording, with the extra elements some of them carry.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

from collections.abc import Mapping

from sagemaker_local.errors import AwsError


class S3Error(AwsError):
    """An S3 error; ``details`` become elements of the XML beside Code and Message."""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status_code: int | None = None,
        details: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, code=code, status_code=status_code)
        self.details = dict(details or {})


class NoSuchBucket(S3Error):
    """The bucket is not there."""

    code, status_code = "NoSuchBucket", 404

    def __init__(self, bucket: str) -> None:
        super().__init__("The specified bucket does not exist", details={"BucketName": bucket})


class NoSuchKey(S3Error):
    """The object is not there."""

    code, status_code = "NoSuchKey", 404

    def __init__(self, key: str) -> None:
        super().__init__("The specified key does not exist.", details={"Key": key})


class NoSuchUpload(S3Error):
    """The multipart upload was completed, aborted, or never was."""

    code, status_code = "NoSuchUpload", 404

    def __init__(self, upload_id: str) -> None:
        super().__init__(
            "The specified upload does not exist. The upload ID may be invalid, "
            "or the upload may have been aborted or completed.",
            details={"UploadId": upload_id},
        )


class BucketNotEmpty(S3Error):
    """A bucket with objects cannot be deleted."""

    code, status_code = "BucketNotEmpty", 409

    def __init__(self, bucket: str) -> None:
        super().__init__("The bucket you tried to delete is not empty", details={"BucketName": bucket})


class BucketAlreadyOwnedByYou(S3Error):
    """The bucket is there already, in a region where creating it again is an error."""

    code, status_code = "BucketAlreadyOwnedByYou", 409

    def __init__(self, bucket: str) -> None:
        super().__init__(
            "Your previous request to create the named bucket succeeded and you already own it.",
            details={"BucketName": bucket},
        )


class InvalidBucketName(S3Error):
    """The name breaks the bucket naming rules."""

    code, status_code = "InvalidBucketName", 400

    def __init__(self, bucket: str) -> None:
        super().__init__("The specified bucket is not valid.", details={"BucketName": bucket})


class KeyTooLong(S3Error):
    """A key has at most 1,024 bytes of UTF-8."""

    code, status_code = "KeyTooLongError", 400

    def __init__(self, size: int, maximum: int) -> None:
        super().__init__("Your key is too long", details={"Size": str(size), "MaxSizeAllowed": str(maximum)})


class PreconditionFailed(S3Error):
    """A condition of the request does not hold; ``condition`` is the header that asked."""

    code, status_code = "PreconditionFailed", 412

    def __init__(self, condition: str) -> None:
        super().__init__(
            "At least one of the pre-conditions you specified did not hold", details={"Condition": condition}
        )


class InvalidArgument(S3Error):
    """A header or query parameter has a value that cannot be."""

    code, status_code = "InvalidArgument", 400

    def __init__(self, message: str, name: str = "", value: str = "") -> None:
        super().__init__(message, details={"ArgumentName": name, "ArgumentValue": value} if name else {})


class InvalidRequest(S3Error):
    """The request contradicts itself."""

    code, status_code = "InvalidRequest", 400


class InvalidRange(S3Error):
    """The range lies outside the object."""

    code, status_code = "InvalidRange", 416

    def __init__(self, header: str, size: int) -> None:
        super().__init__(
            "The requested range is not satisfiable",
            details={"RangeRequested": header, "ActualObjectSize": str(size)},
        )
        self.size = size


class BadDigest(S3Error):
    """The body is not what its checksum says."""

    code, status_code = "BadDigest", 400


class InvalidDigest(S3Error):
    """Content-MD5 is no MD5."""

    code, status_code = "InvalidDigest", 400

    def __init__(self, value: str) -> None:
        super().__init__("The Content-MD5 you specified was invalid.", details={"Content-MD5": value})


class ContentSha256Mismatch(S3Error):
    """The body is not the one that the request's signature covers."""

    code, status_code = "XAmzContentSHA256Mismatch", 400

    def __init__(self, claimed: str, computed: str) -> None:
        super().__init__(
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
            details={"ClientComputedContentSHA256": claimed, "S3ComputedContentSHA256": computed},
        )


class IncompleteBody(S3Error):
    """Fewer or more bytes arrived than the request announced."""

    code, status_code = "IncompleteBody", 400


class EntityTooLarge(S3Error):
    """More bytes than one request or object may have."""

    code, status_code = "EntityTooLarge", 400

    def __init__(self, proposed: int, maximum: int) -> None:
        super().__init__(
            "Your proposed upload exceeds the maximum allowed size",
            details={"ProposedSize": str(proposed), "MaxSizeAllowed": str(maximum)},
        )


class EntityTooSmall(S3Error):
    """A part other than the last is smaller than 5 MiB."""

    code, status_code = "EntityTooSmall", 400

    def __init__(self, number: int, proposed: int, minimum: int, etag: str) -> None:
        super().__init__(
            "Your proposed upload is smaller than the minimum allowed size",
            details={
                "ProposedSize": str(proposed),
                "MinSizeAllowed": str(minimum),
                "PartNumber": str(number),
                "ETag": etag,
            },
        )


class InvalidPart(S3Error):
    """CompleteMultipartUpload names a part that was not uploaded like that."""

    code, status_code = "InvalidPart", 400

    def __init__(self, upload_id: str, number: int, etag: str) -> None:
        super().__init__(
            "One or more of the specified parts could not be found.  The part may not have been uploaded, "
            "or the specified entity tag may not match the part's entity tag.",
            details={"UploadId": upload_id, "PartNumber": str(number), "ETag": etag},
        )


class InvalidPartOrder(S3Error):
    """CompleteMultipartUpload must list the parts in ascending order."""

    code, status_code = "InvalidPartOrder", 400

    def __init__(self) -> None:
        super().__init__(
            "The list of parts was not in ascending order. Parts must be ordered by part number."
        )


class MalformedXML(S3Error):
    """The XML body is not what the operation takes."""

    code, status_code = "MalformedXML", 400

    def __init__(self, why: str = "") -> None:
        text = "The XML you provided was not well-formed or did not validate against our published schema"
        super().__init__(f"{text}: {why}" if why else text)


class MethodNotAllowed(S3Error):
    """The resource exists, but not for this method."""

    code, status_code = "MethodNotAllowed", 405

    def __init__(self, method: str, resource_type: str) -> None:
        super().__init__(
            "The specified method is not allowed against this resource.",
            details={"Method": method, "ResourceType": resource_type},
        )


class NotImplementedHere(S3Error):
    """AWS has it, the local S3 does not: refused rather than invented."""

    code, status_code = "NotImplemented", 501

    def __init__(self, what: str) -> None:
        super().__init__(f"The local S3 does not implement {what}.", details={"Resource": what})
