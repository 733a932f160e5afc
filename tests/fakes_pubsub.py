"""A server of Pub/Sub that answers as a test wants: without permission, away for a while, or with messages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from google.iam.v1.iam_policy_pb2 import TestIamPermissionsResponse as PermittedResponse
from google.protobuf.empty_pb2 import Empty
from google.pubsub_v1 import types

from beam_curator.files import pubsub_messages

_ANSWERS: dict[str, Any] = {
    "Pull": types.PullResponse(),
    "GetSubscription": types.Subscription(),
    "GetTopic": types.Topic(),
}


class FakePubSub(grpc.GenericRpcHandler):
    """Answers calls by their names.

    Attributes:
      refuses: name of a call to the status with which it is refused.
      permissions: that everybody has.
      answers: name of a call to the answers, one after the other; then there is nothing more to tell.
      n_calls: by name.
      published: messages by topic.
    """

    def __init__(self) -> None:
        self.refuses: dict[str, grpc.StatusCode] = {}
        self.permissions: list[str] = []
        self.answers: dict[str, list[Any]] = defaultdict(list)
        self.n_calls: dict[str, int] = defaultdict(int)
        self.published: dict[str, list[types.PubsubMessage]] = defaultdict(list)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        name = handler_call_details.method.rpartition("/")[2]
        return grpc.unary_unary_rpc_method_handler(lambda request, context: self._answer(name, request, context))

    def _answer(self, name: str, request: bytes, context: grpc.ServicerContext) -> bytes:
        self.n_calls[name] += 1
        if name in self.refuses:
            context.abort(self.refuses[name], "User not authorized to perform this action.")
        if name == "TestIamPermissions":
            return PermittedResponse(permissions=self.permissions).SerializeToString()
        if name == "Publish":
            sent = types.PublishRequest.deserialize(request)
            self.published[sent.topic] += sent.messages
            return types.PublishResponse.serialize(types.PublishResponse(message_ids=["1"] * len(sent.messages)))
        answer = self.answers[name].pop(0) if self.answers[name] else _ANSWERS.get(name)
        return Empty().SerializeToString() if answer is None else type(answer).serialize(answer)


@contextmanager
def fake_pubsub() -> Iterator[FakePubSub]:
    """Start a server, which the clients of this process talk to."""
    fake, server = FakePubSub(), grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((fake,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    caches = (
        pubsub_messages._publisher,
        pubsub_messages._subscriber,
        pubsub_messages._pulled_from,
        pubsub_messages.leases,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{port}")
        for cached in caches:
            cached.cache_clear()
        try:
            yield fake
        finally:
            server.stop(None)
            for cached in caches:
                cached.cache_clear()
