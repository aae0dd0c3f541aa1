"""An object store for tests: moto's, in a thread, at a port that was free; Polars finds it by AWS_* variables."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import boto3  # type: ignore[import-untyped]
import msgspec
from moto.server import ThreadedMotoServer

KEYS = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests", "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true"}


class Bucket(msgspec.Struct, frozen=True):
    """A bucket by its name, and a client that may write to it."""

    name: str
    client: Any

    @property
    def url(self) -> str:
        """Where Polars finds it."""
        return f"s3://{self.name}"

    def put(self, key: str, content: bytes | None) -> None:
        """Write an object, or take it away."""
        if content is None:
            self.client.delete_object(Bucket=self.name, Key=key)
        else:
            self.client.put_object(Bucket=self.name, Key=key, Body=content)


@contextmanager
def object_store(name: str) -> Iterator[Bucket]:
    """A server with one empty bucket. Polars remembers endpoints by bucket: each server of a process needs another name."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = KEYS | {"AWS_ENDPOINT_URL": f"http://{host}:{port}"}
    try:
        with patch.dict(os.environ, environment):
            client = boto3.client("s3", endpoint_url=environment["AWS_ENDPOINT_URL"], region_name=KEYS["AWS_REGION"])
            client.create_bucket(Bucket=name)
            yield Bucket(name, client)
    finally:
        server.stop()
