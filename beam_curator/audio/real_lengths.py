"""Files that hold more samples than their headers say: a length of 32 bits that wrapped, or that was never completed.

libsndfile takes a header at its word and reads no further.
"""

from __future__ import annotations

import struct
from dataclasses import replace

from beam_curator.audio.checking import MAX_CHUNKS, ChunkLayout, DataClaim, chunk_at, data_claim, layout_of
from beam_curator.audio.files import SourceFile
from beam_curator.audio.flac import with_all_frames
from beam_curator.audio.formats import HEAD_BYTES, SOUND_FILES, container_of
from beam_curator.audio.information import not_audio
from beam_curator.failures import EntryError

_WRAP = 1 << 32
_MAX_HEADER_BYTES = 1 << 24
_MAX_PADDING = 1 << 16
_TAGS = (b"TAG", b"ID3", b"APETAGEX", b"LYRICSBEGIN")
_FILES = SOUND_FILES - {"mp3"}  # two bytes of sound may look like a frame of an mp3
_DESCRIPTIONS = frozenset({b"LIST", b"id3 ", b"ID3 ", b"bext", b"iXML", b"axml", b"_PMX", b"cue ", b"smpl", b"PEAK"})
_TEXT = frozenset(b"\t\n\r" + bytes(range(0x20, 0x7F)))


def with_real_length(source: SourceFile, container: str) -> tuple[SourceFile, DataClaim | None]:
    """Return a file as one whose header says how many bytes of samples there are.

    Where a header says less than there is, or that the length is not known, and no chunk, tag or padding follows, the
    samples go on up to the end of the file: recorders that were switched off and writers into pipes leave such files,
    and so do those that go beyond 4 GiB, where a length of 32 bits begins again at 0.

    Returns:
      The file (of a wav beyond 4 GiB a view as rf64), and its chunk of samples.

    Raises:
      EntryError: what follows the samples is another file or a text, or the header cannot hold the real length.
    """
    if container == "flac":
        return with_all_frames(source), None
    claim = data_claim(source, container)
    if claim is None:
        return source, None
    n_bytes = _real_length(source, claim, layout_of(source, container))
    if n_bytes in (claim.declared, 0) or (claim.claimed is not None and n_bytes < claim.declared):
        return source, claim
    if claim.size_field is None:
        # libsndfile reads SPHERE up to the end of the file anyway
        return source, replace(claim, declared=n_bytes, claimed=n_bytes, there=n_bytes)
    return _with_length(source, container, claim, n_bytes)


def _real_length(source: SourceFile, claim: DataClaim, layout: ChunkLayout | None) -> int:
    """Return how many bytes of samples a file holds, whatever its header says."""
    to_the_end = max(0, source.size - claim.start)
    if claim.declared > to_the_end:
        return to_the_end
    lengths = [claim.declared]
    if claim.size_field is not None and claim.size_field[1] == 4:
        # the length may have wrapped several times; chunks may follow where it really ends
        lengths = list(range(claim.declared, to_the_end + 1, _WRAP))[::-1]
    for length in lengths:
        if _ends_at(source, claim.start + length, layout, padded=length > 0):
            return length
    return to_the_end


def _ends_at(source: SourceFile, end: int, layout: ChunkLayout | None, *, padded: bool) -> bool:
    """Say whether the samples end there: nothing follows, or chunks, a tag, or a few zeros as padding.

    Raises:
      EntryError: another file follows, or a text.
    """
    rest = source.size - end
    if rest < 2:
        return padded or rest == 0
    head = source.read_at(end, HEAD_BYTES)
    if padded and container_of(head) in _FILES:
        raise not_audio(
            f"another {container_of(head)} file begins behind the samples, at byte {end}", "split the file there"
        )
    if head.startswith(_TAGS):
        return True
    if padded and rest <= _MAX_PADDING and not any(source.read_at(end, rest)):
        return True
    if layout is not None and any(_chunks_to_the_end(source, at, layout) for at in {end, end + -end % layout.pad}):
        return True
    if len(head) >= 16 and _TEXT.issuperset(head):
        raise not_audio(f"a text follows the samples, at byte {end}: {rest} bytes", "cut it off")
    return False


def _chunks_to_the_end(source: SourceFile, here: int, layout: ChunkLayout) -> bool:
    """Say whether chunks follow up to the end of the file; the last one may be cut where it is a description.

    Raises:
      EntryError: one of them holds samples again.
    """
    first, again = here, False
    for _ in range(MAX_CHUNKS):
        chunk = chunk_at(source, here, layout)
        if chunk is None or not all(0x20 <= byte < 0x7F for byte in chunk.name[:4]):
            return False
        again = again or chunk.name == layout.data_id
        here = chunk.end
        # some writers leave out the padding of the last chunk
        if here - source.size in range(layout.pad):
            break
        if here > source.size:
            if chunk.name[:4] not in _DESCRIPTIONS:
                return False
            break
    if again:
        raise not_audio(f"a second chunk of samples follows behind byte {first}", "write the recording as one")
    return here >= source.size


def _with_length(
    source: SourceFile, container: str, claim: DataClaim, n_bytes: int
) -> tuple[SourceFile, DataClaim | None]:
    """Return a view of a file whose header has another length."""
    if claim.size_field is None or claim.start > _MAX_HEADER_BYTES:
        raise _cannot_hold(container, claim, n_bytes)
    at, width, order = claim.size_field
    header = source.read_at(0, claim.start)
    number = n_bytes + claim.extra
    if number < 1 << 8 * width:
        header = header[:at] + number.to_bytes(width, order) + header[at + width :]
    elif container == "au":
        header = header[:at] + b"\xff" * width + header[at + width :]
    elif container == "wav" and order == "little":
        # EBU Tech 3306: lengths of 64 bits stand in the first chunk
        long_lengths = struct.pack("<IQQQI", 28, n_bytes + claim.start + 28, n_bytes, 0, 0)
        container = "rf64"
        header = b"RF64\xff\xff\xff\xffWAVEds64" + long_lengths + header[12:at] + b"\xff\xff\xff\xff"
    else:
        raise _cannot_hold(container, claim, n_bytes)
    view = source.behind(claim.start, header)
    return view, data_claim(view, container)


def _cannot_hold(container: str, claim: DataClaim, n_bytes: int) -> EntryError:
    return not_audio(
        f"the header says {claim.declared} bytes of samples, and {n_bytes} are there, which no {container} header of "
        "this kind can say",
        "write the recording again, as w64 or rf64",
    )
