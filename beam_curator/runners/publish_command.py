"""`beam-curator publish`: recordings as live streams."""

import argparse
import math
import os
from collections.abc import Callable
from functools import partial

from beam_curator.failures import EntryError
from beam_curator.files.chunk_folders import put_chunk
from beam_curator.files.message_places import PLACE_ERRORS, check_to_write, send_chunk
from beam_curator.files.opened_recordings import sample_rate_of
from beam_curator.files.publishing import Publication, publish
from beam_curator.live.messages import Chunk
from beam_curator.recordings.safe_names import stem_of
from beam_curator.runners.exit_codes import DONE
from beam_curator.runners.options import UsageError
from beam_curator.runners.stages import number_of


def run_publish_command(arguments: argparse.Namespace) -> int:
    """Send recordings, and return the exit code.

    Raises:
      UsageError: options that cannot hold, or a recording or topic that cannot be used.
      OSError: the folder cannot be written.
    """
    speed = _speed_of(arguments)
    publications = _publications(arguments)
    try:
        for path in arguments.files:
            _check_rate(path)
        pause = arguments.chunk_seconds / speed if speed else 0.0
        n_sent = publish(publications, _way_to(arguments), pause)
    except (EntryError, *PLACE_ERRORS) as err:
        raise UsageError(str(err)) from err
    where = arguments.topic or arguments.to
    print(f"beam-curator: {number_of(n_sent, 'chunks')} of {number_of(len(publications), 'streams')} in {where}")
    return DONE


def _way_to(arguments: argparse.Namespace) -> Callable[[Chunk], None]:
    """Return the function that sends a chunk.

    Raises:
      PubSubError, KafkaError: the topic cannot be used.
    """
    if arguments.topic:
        check_to_write(arguments.topic)
        return partial(send_chunk, arguments.topic)
    os.makedirs(arguments.to, exist_ok=True)
    return partial(put_chunk, arguments.to)


def _speed_of(arguments: argparse.Namespace) -> float:
    """Return how many times real time to send at; 0 for as fast as it goes."""
    speed = arguments.speed
    if speed is None:
        return 1.0 if arguments.real_time else 0.0
    if not (math.isfinite(speed) and speed > 0):
        raise UsageError(f"--speed {speed:g} is not above 0: give times real time, such as 4")
    return float(speed)


def _publications(arguments: argparse.Namespace) -> list[Publication]:
    if not 0.01 <= arguments.chunk_seconds <= 60:
        raise UsageError(f"--chunk-seconds {arguments.chunk_seconds:g} must be 0.01-60: choose a value between them")
    if arguments.streams < 1:
        raise UsageError(f"--streams {arguments.streams} is below 1: raise it")
    if arguments.stream_id is not None and len(arguments.files) > 1:
        raise UsageError("--stream-id names one stream, and there are several files: leave it out")
    made = []
    for path in arguments.files:
        name = arguments.stream_id if arguments.stream_id is not None else stem_of(path)
        names = [name] if arguments.streams == 1 else [f"{name}-{n}" for n in range(1, arguments.streams + 1)]
        made += [
            Publication(
                path=path,
                stream_id=each,
                session=arguments.session,
                codec=arguments.codec,
                chunk_seconds=arguments.chunk_seconds,
            )
            for each in names
        ]
    repeated = {each.stream_id for each in made if [one.stream_id for one in made].count(each.stream_id) > 1}
    if repeated:
        raise UsageError(f"several files would be one stream, {min(repeated)!r}: publish them one by one, --stream-id")
    return made


def _check_rate(path: str) -> None:
    """Check that chunks of a recording can be sent.

    Raises:
      EntryError: it is not there, or has a sample rate that messages cannot have.
    """
    rate = sample_rate_of(path)
    attributes = Chunk(stream_id="any", seq=0, sample_rate=rate, codec="wav", data=b"").attributes()
    Chunk.of(attributes, b"")
