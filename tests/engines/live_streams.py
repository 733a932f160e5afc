"""Live streams for the tests of engines: recordings in chunks that come late, twice or not at all."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from beam_curator.files import pubsub_messages
from beam_curator.files.publishing import Publication
from beam_curator.live.messages import Chunk
from tests.fakes_models import Speech

TOPIC, SUBSCRIPTION = "projects/test/topics/chunks", "projects/test/subscriptions/chunks"
SPEECH: list[Speech] = [(0.16, 1.04, 0), (0.96, 1.6, 1), (6.4, 7.2, 2), (9.6, 11.2, 0)]


def chunks_of(path: Path, chunk_seconds: float = 0.5) -> list[Chunk]:
    """Return a recording as a stream of its name."""
    publication = Publication(
        path=str(path), stream_id=path.stem, session="", codec="pcm_s16le", chunk_seconds=chunk_seconds
    )
    return list(publication.chunks())


def arrivals(streams: Sequence[Sequence[Chunk]]) -> list[Chunk]:
    """Return the chunks side by side, a tenth of them up to five places late, and a twentieth twice."""
    dice = random.Random(1)
    longest = max(map(len, streams))
    order = [chunk for place in range(longest) for own in streams for chunk in own[place : place + 1]]
    late = [dice.randint(1, 5) * len(streams) if dice.random() < 0.1 else 0 for _ in order]
    keyed = [(n + by, chunk) for n, (by, chunk) in enumerate(zip(late, order, strict=True))]
    keyed += [(n + dice.randint(0, 30), chunk) for n, chunk in enumerate(order) if dice.random() < 0.05]
    return [chunk for _, chunk in sorted(keyed, key=lambda pair: pair[0])]


def left_in_subscription() -> list[Any]:
    """Return what comes again once every lease is over."""
    time.sleep(11)
    request = {"subscription": SUBSCRIPTION, "max_messages": 100, "return_immediately": True}
    return list(pubsub_messages._subscriber().pull(request=request, timeout=10).received_messages)
