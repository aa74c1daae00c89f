"""The botocore client: credentials, region, endpoint, retries. Imported when the first object is due."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import msgspec

from destination_s3.config import S3Config

ATTEMPTS = 6
"""Of each request, with botocore's own back-off; what fails then fails the run, which is resumed."""
CONNECT_SECONDS = 10
"""To connect, and for each 16 KB of the first request over a connection: a body of bytes is sent in such pieces. One of
another kind (a bytearray) would have to go out as a whole within this time."""
READ_SECONDS = 60


def make(config: S3Config) -> Any:
    """A client for the bucket of this config. Reaches out only for what credentials need."""
    from botocore.session import Session

    session = Session(profile=config.profile)
    _hasten(session)
    region = config.s3_bucket_region or session.get_config_variable("region") or os.environ.get("AWS_REGION")
    keys = _keys(config)
    if config.role_arn:
        _assume_role(session, config, keys, region or "us-east-1")
        keys = {}
    return session.create_client(
        "s3",
        region_name=region or "us-east-1",
        endpoint_url=config.s3_endpoint or None,
        verify=None if config.verify_tls else False,
        config=_client_config(config),
        **keys,
    )


def _hasten(session: Any) -> None:
    """Half of what a client takes goes into decoding its description of S3, and into looking for other services."""
    loader = session.get_component("data_loader")
    loader.file_loader = _Files()
    names = [name for folder in loader.search_paths if os.path.isdir(folder) for name in os.listdir(folder)]
    loader.list_available_services = lambda type_name: names


class _Files:
    """What botocore's JSONFileLoader does, by a quicker decoder."""

    def exists(self, path: str) -> bool:
        return any(os.path.isfile(path + end) for end in (".json", ".json.gz"))

    def load_file(self, path: str) -> Any:
        """The value in the file, whose name ends with `.json` or `.json.gz`; None where there is none."""
        if os.path.isfile(f"{path}.json"):
            return msgspec.json.decode(Path(f"{path}.json").read_bytes())
        if os.path.isfile(f"{path}.json.gz"):
            return msgspec.json.decode(gzip.decompress(Path(f"{path}.json.gz").read_bytes()))
        return None


def _client_config(config: S3Config) -> Any:
    from botocore.config import Config

    endpoint = config.s3_endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    # Over TLS nobody can alter a part on its way, so its SHA-256 would only cost time; without TLS it is signed.
    s3: dict[str, Any] = {"payload_signing_enabled": endpoint.startswith("http:")}
    if endpoint and "amazonaws.com" not in endpoint:
        s3["addressing_style"] = "path"  # What is not AWS seldom has a host name for each bucket.
    return Config(
        s3=s3,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        max_pool_connections=10,
        # Trailing checksums are not known to every server; TLS or the signature already guards the bytes.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        user_agent_extra="destination-s3",
    )


def _keys(config: S3Config) -> dict[str, str]:
    named = {
        "aws_access_key_id": config.access_key_id,
        "aws_secret_access_key": config.secret_access_key,
        "aws_session_token": config.session_token,
    }
    return {name: value.get_secret_value() for name, value in named.items() if value}


def _assume_role(session: Any, config: S3Config, keys: dict[str, str], region: str) -> None:
    """Let the session act as the role, renewed as often as needed."""
    from botocore.credentials import AssumeRoleCredentialFetcher, Credentials, DeferredRefreshableCredentials
    from botocore.exceptions import NoCredentialsError

    base = Credentials(*keys.values()) if keys else session.get_credentials()
    if base is None:
        raise NoCredentialsError
    external = config.role_external_id or os.environ.get("AWS_ASSUME_ROLE_EXTERNAL_ID")
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=lambda service, **more: session.create_client(service, **{"region_name": region, **more}),
        source_credentials=base,
        role_arn=config.role_arn,
        extra_args={"RoleSessionName": "destination-s3"} | ({"ExternalId": external} if external else {}),
    )
    session._credentials = DeferredRefreshableCredentials(method="assume-role", refresh_using=fetcher.fetch_credentials)
