"""A Spark Connect server, and one that refuses what serverless compute refuses.

The second is a proxy of the first. What it refuses is what Databricks documents for serverless compute: to persist and
cache, global temporary views, Spark's MLlib, and all settings but six, to read and to write. (What has no way over
Connect at all, RDDs and the JVM, need not be refused.)
"""

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from pyspark.sql.connect.proto import base_pb2 as proto

from tests.deployment.places import environment
from tests.generated import ROOT

SETTINGS = {
    "spark.sql.legacy.timeParserPolicy",
    "spark.sql.session.timeZone",
    "spark.sql.shuffle.partitions",
    "spark.sql.ansi.enabled",
    "spark.sql.files.maxPartitionBytes",
    "spark.databricks.execution.timeout",
}
"""Those that serverless compute knows."""
READ_BY_PYSPARK = (
    "spark.connect.session.",
    "spark.python.",
    "spark.sql.connect.",
    "spark.sql.execution.",
    "spark.sql.pyspark.",
    "spark.sql.repl.",
    "spark.sql.session.",
    "spark.sql.timestampType",
)
"""How the settings begin that PySpark's own client reads, wherever it works."""
LARGEST_MESSAGE = 128 * 1024 * 1024
_SERVICE = "/spark.connect.SparkConnectService/"
_SERVER = """
import json, sys
from customer_segmentation.config.schema import Spark
from customer_segmentation.spark.session import get_session
get_session(Spark(**json.loads(sys.argv[1])))
print("started", flush=True)
sys.stdin.read()
"""


@contextmanager
def connect_server(**settings: Any) -> Iterator[str]:
    """The address of a server for the block.

    Args:
        settings: of the section `spark`.
    """
    port = free_port()
    conf = {
        "spark.plugins": "org.apache.spark.sql.connect.SparkConnectPlugin",
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
    }
    given = {"master": "local[2]", "driver_memory": "2g", **settings, "conf": {**conf, **settings.get("conf", {})}}
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVER, json.dumps(given)],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline().strip() == "started"
        yield f"sc://127.0.0.1:{port}"
    finally:
        process.stdin.close()
        process.wait()


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def serverless(server: str, refused: list[str] | None = None) -> Iterator[str]:
    """The address of a proxy of a server that refuses what serverless compute refuses, for the block.

    Args:
        server: the address of the server.
        refused: gets what was refused.
    """
    options = [(f"grpc.max_{way}_message_length", LARGEST_MESSAGE) for way in ("send", "receive")]
    channel = grpc.insecure_channel(server.removeprefix("sc://"), options=options)
    proxy = grpc.server(ThreadPoolExecutor(32), options=options)
    proxy.add_generic_rpc_handlers((_Forwarding(channel, refused if refused is not None else []),))
    port = proxy.add_insecure_port("127.0.0.1:0")
    proxy.start()
    try:
        yield f"sc://127.0.0.1:{port}"
    finally:
        proxy.stop(None).wait()
        channel.close()


class _Forwarding(grpc.GenericRpcHandler):
    """Forwards each call as it is, but for what is refused."""

    def __init__(self, channel: grpc.Channel, refused: list[str]) -> None:
        self._channel = channel
        self._refused = refused

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        method = handler_call_details.method
        name = method.removeprefix(_SERVICE)
        if name in ("ExecutePlan", "ReattachExecute"):
            stream = self._channel.unary_stream(method)
            return grpc.unary_stream_rpc_method_handler(lambda request, at: self._streamed(name, stream, request, at))
        if name == "AddArtifacts":
            upload = self._channel.stream_unary(method)
            return grpc.stream_unary_rpc_method_handler(lambda request, at: _forwarded(upload, request, at))
        call = self._channel.unary_unary(method)
        return grpc.unary_unary_rpc_method_handler(lambda request, at: self._answered(name, call, request, at))

    def _streamed(
        self, name: str, stream: Callable[..., Any], request: bytes, at: grpc.ServicerContext
    ) -> Iterator[bytes]:
        if name == "ExecutePlan":
            self._refuse(_refused_plan(proto.ExecutePlanRequest.FromString(request).plan), at)
        try:
            yield from stream(request, metadata=at.invocation_metadata())
        except grpc.RpcError as error:
            _abort(error, at)

    def _answered(self, name: str, call: Callable[..., Any], request: bytes, at: grpc.ServicerContext) -> bytes:
        if name == "AnalyzePlan":
            asked = proto.AnalyzePlanRequest.FromString(request).WhichOneof("analyze")
            self._refuse("PERSIST TABLE" if asked in ("persist", "unpersist") else None, at)
        if name == "Config":
            request = self._allowed(proto.ConfigRequest.FromString(request), at).SerializeToString()
        return _forwarded(call, request, at)

    def _allowed(self, request: proto.ConfigRequest, at: grpc.ServicerContext) -> proto.ConfigRequest:
        """The request, without the settings that are set in silence and not known."""
        operation = request.operation
        kind = operation.WhichOneof("op_type")
        asked = getattr(operation, kind)
        pairs = getattr(asked, "pairs", [])
        names = [*(pair.key for pair in pairs), *getattr(asked, "keys", [])]
        of_pyspark = READ_BY_PYSPARK if kind.startswith("get") else ()
        unknown = [name for name in names if name not in SETTINGS and not name.startswith(of_pyspark)]
        if unknown and getattr(asked, "silent", False):
            known = [pair for pair in pairs if pair.key in SETTINGS]
            del asked.pairs[:]
            asked.pairs.extend(known)
        elif unknown:
            self._refused.append(f"the setting {unknown[0]}")
            at.abort(
                grpc.StatusCode.INTERNAL,
                f"[CONFIG_NOT_AVAILABLE] Configuration {unknown[0]} is not available. SQLSTATE: 42K0I",
            )
        return request

    def _refuse(self, what: str | None, at: grpc.ServicerContext) -> None:
        if what is None:
            return
        self._refused.append(what)
        at.abort(
            grpc.StatusCode.INTERNAL,
            f"[NOT_SUPPORTED_WITH_SERVERLESS] {what} is not supported on serverless compute. SQLSTATE: 0A000",
        )


def _refused_plan(plan: proto.Plan) -> str | None:
    """What of a plan is refused; None where nothing is."""
    if plan.WhichOneof("op_type") == "root":
        catalog = plan.root.catalog.WhichOneof("cat_type") if plan.root.HasField("catalog") else None
        return "CACHE TABLE" if catalog in ("cache_table", "uncache_table") else None
    command = plan.command
    match command.WhichOneof("command_type"):
        case "checkpoint_command":
            return "CHECKPOINT"
        case "ml_command":
            return "MLLIB"
        case "create_dataframe_view" if command.create_dataframe_view.is_global:
            return "GLOBAL TEMPORARY VIEW"
    return None


def _forwarded(call: Callable[..., Any], request: Any, at: grpc.ServicerContext) -> bytes:
    try:
        answer: bytes = call(request, metadata=at.invocation_metadata())
    except grpc.RpcError as error:
        _abort(error, at)
    return answer


def _abort(error: Any, at: grpc.ServicerContext) -> None:
    at.set_trailing_metadata(error.trailing_metadata() or ())
    at.abort(error.code(), error.details())
