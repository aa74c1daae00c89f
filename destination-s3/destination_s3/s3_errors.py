"""What S3 refuses, in words that say what to do next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from connector_sdk import ConfigError, TransientError
from connector_sdk.errors import ConnectorError

_KEYS = "Check access_key_id and secret_access_key, or what the machine has in their place."
# The code of S3's answer → what to change. {bucket}, {right} and {said} are put in.
_ADVICE = {
    "NoSuchBucket": "The bucket {bucket} does not exist there. Make it, or correct s3_bucket_name and s3_endpoint.",
    "InvalidBucketName": "{bucket} cannot be the name of a bucket: 3 to 63 small letters, digits, dots, hyphens.",
    "InvalidAccessKeyId": f"The access key is not known there. {_KEYS}",
    "SignatureDoesNotMatch": "The secret does not belong to the access key. Correct secret_access_key.",
    "InvalidToken": "The session token is not valid. Get new temporary keys, or leave session_token out.",
    "ExpiredToken": "The temporary keys have ended. Get new ones.",
    "RequestTimeTooSkewed": "The clock of this machine is wrong by more than 15 minutes. Set it.",
    "PermanentRedirect": "The bucket {bucket} is in another region{region}. Correct s3_bucket_region.",
    "AuthorizationHeaderMalformed": "The bucket {bucket} is in another region{region}. Correct s3_bucket_region.",
    "IllegalLocationConstraintException": "The bucket {bucket} is in another region{region}. Correct s3_bucket_region.",
    "AccountProblem": "There is a problem with the AWS account: {said}",
    "EntityTooLarge": "The object is larger than the server takes. Lower file_size_mb.",
    "NoSuchUpload": "The upload is gone. Another run of the same stream ended it: let only one run at a time write it.",
    "InvalidRegionError": "{said} Correct s3_bucket_region.",
    "NoCredentialsError": f"There are no credentials. {_KEYS}",
    "PartialCredentialsError": "{said} Give the access key and its secret, or none of them.",
    "ProfileNotFound": "{said} Correct profile, or AWS_PROFILE.",
    "ParamValidationError": "{said}",
    "SSLError": "The server's certificate cannot be trusted. Give the address that stands in it, or name the authority "
    "that signed it by AWS_CA_BUNDLE. {said}",
}
_DENIED = (
    "To {action} is not allowed in the bucket {bucket}: {right} is missing. Add it to the policy of the user or role."
)
_TRANSIENT = ("EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError")


@contextmanager
def told(bucket: str, action: str, right: str = "") -> Iterator[None]:
    """Errors of botocore as a ConfigError or TransientError that says what to do."""
    try:
        yield
    except ConnectorError:
        raise
    except Exception as error:
        explained = _explain(error, bucket, action, right)
        if explained is None:
            raise
        raise explained from error


def _explain(error: Exception, bucket: str, action: str, right: str) -> ConnectorError | None:
    from botocore.exceptions import BotoCoreError, ClientError

    said = " ".join(str(error).split())
    if isinstance(error, ClientError):
        return _answered(error, bucket, action, right)
    if not isinstance(error, BotoCoreError):
        return None
    kind = "InvalidBucketName" if "Invalid bucket name" in said else type(error).__name__
    if kind in _ADVICE:
        return ConfigError(_ADVICE[kind].format(bucket=bucket, right=right, said=said, region=""), internal=said)
    if kind in _TRANSIENT:
        return TransientError(
            f"The S3 server cannot be reached. Look at s3_endpoint and at the network. {said}", internal=said
        )
    kinds: Callable[..., ConnectorError] = TransientError if _is_network(error) else ConfigError
    return kinds(f"S3: {action}: {said}", internal=said)


def _is_network(error: Exception) -> bool:
    from botocore.exceptions import HTTPClientError

    return isinstance(error, HTTPClientError)


def _answered(error: Exception, bucket: str, action: str, right: str) -> ConnectorError:
    """What the server's answer means. A HEAD has no body, so its code is only the status."""
    answer = error.response  # type: ignore[attr-defined]
    code, text = answer.get("Error", {}).get("Code", ""), answer.get("Error", {}).get("Message", "")
    meta = answer.get("ResponseMetadata", {})
    status = meta.get("HTTPStatusCode", 0)
    region = meta.get("HTTPHeaders", {}).get("x-amz-bucket-region")
    internal = f"{code} {status}: {text}"
    values = {"bucket": bucket, "right": right, "said": text, "region": f", {region}" if region else ""}
    if error.operation_name.startswith("AssumeRole"):  # type: ignore[attr-defined]
        advice = "Look at role_arn, at role_external_id, and at the role's trust policy."
        return ConfigError(f"The role cannot be assumed: {text} {advice}", internal=internal)
    if code in _ADVICE:
        kind: Callable[..., ConnectorError] = TransientError if code == "NoSuchUpload" else ConfigError
        return kind(_ADVICE[code].format(**values), internal=internal)
    if code.startswith("KMS") or "kms" in text.lower():
        return ConfigError(
            f"The KMS key cannot be used: {text} The role needs kms:GenerateDataKey and kms:Decrypt.", internal=internal
        )
    if status in (301, 307):
        return ConfigError(_ADVICE["PermanentRedirect"].format(**values), internal=internal)
    if status in (401, 403) or code in ("AccessDenied", "AllAccessDisabled"):
        return ConfigError(_DENIED.format(action=action, **values), internal=internal)
    if code in ("404", "NotFound"):
        return ConfigError(_ADVICE["NoSuchBucket"].format(**values), internal=internal)
    if status >= 500 or status in (408, 429) or code in ("SlowDown", "RequestTimeout", "Throttling"):
        return TransientError(f"S3 does not answer as it should ({code or status}): {text}", internal=internal)
    return ConfigError(f"S3 refuses to {action} in the bucket {bucket} ({code or status}): {text}", internal=internal)
