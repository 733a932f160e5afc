"""How blocks travel between workers, and why Beam must not weigh them by pickling them.

Beam's workers sample the encoded size of elements for their byte counters, also between fused steps where nothing is
encoded. For blocks of parsed rows that sampling cost more than all the planning;
`estimate_size` answers from the byte range instead.
"""

import pickle
from typing import Any

import apache_beam as beam

from beam_curator.sets.blocks import FailureBlock, LineBlock
from beam_curator.windows.entry_blocks import EntryBlock


class BlockCoder(beam.coders.Coder):
    """Pickles a block where it has to leave the process; knows its size without doing so."""

    def encode(self, value: Any) -> bytes:
        return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)

    def decode(self, encoded: bytes) -> Any:
        return pickle.loads(encoded)

    # equal values may pickle to different bytes, so blocks must not become keys
    def is_deterministic(self) -> bool:
        return False

    def estimate_size(self, value: Any) -> int:
        # about the size when pickled: the bytes of the manifest that the block came from
        return int(value.ref.stop - value.ref.start)

    def __eq__(self, other: object) -> bool:
        # it has no settings, so all coders of this class are alike
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


# at import, so that a worker knows the coders before it unpickles a step
for _block_type in (LineBlock, EntryBlock, FailureBlock):
    beam.coders.registry.register_coder(_block_type, BlockCoder)
