"""Fetch a conversation of two people, 30 s, and its known turns, with pip: a wheel of 0.9 MB that is checked by hash.

    python examples/human_speech/conversation.py DIR

It is the sample of pyannote.audio (MIT), whose code is neither installed nor run. DIR then has `sample.wav` and
`sample.rttm`; where they cannot be fetched, a line says why, and the exit code is 1.
"""

import sys
from pathlib import Path

from beam_curator.model_wheels import Member, Wheel
from beam_curator.models.installing import fetched_wheel
from beam_curator.models.model_files import ModelFileError, ModelNotFoundError
from beam_curator.models.wheels import member_of

SHA256 = "36e38f058059f46da3478dda581cda53d9d85a21173a3e70bbdbc3ba93b5e1b7"
PACKAGE = Wheel(
    package="pyannote.audio",
    version="3.4.0",
    weights=(
        Member(
            path="pyannote/audio/sample/sample.wav",
            n_bytes=960_104,
            sha256="c319b4abca767b124e41432d364fd7df006cb26bb79d09326c487d606a134e6e",
        ),
        Member(
            path="pyannote/audio/sample/sample.rttm",
            n_bytes=596,
            sha256="d78fe62c69d8e6dcbb42c26adfce83faccb374c5a1e6d987fe37f85f1c173c87",
        ),
    ),
    licences=(
        Member(
            path="pyannote_audio-3.4.0.dist-info/licenses/LICENSE",
            n_bytes=1_061,
            sha256="a3b53644a76e70e289b25271b119c0a1aadaaf0db7a16225fb494fdc0e36c32a",
        ),
    ),
)


def fetch(folder: Path) -> None:
    """Write the recording, its turns and their licence into a folder, unless they are there.

    Raises:
      ModelNotFoundError: the package cannot be fetched.
      ModelFileError: it is another one.
    """
    members = (*PACKAGE.weights, *PACKAGE.licences)
    paths = [folder / Path(member.path).name for member in members]
    if all(path.is_file() for path in paths):
        return
    with fetched_wheel(PACKAGE, SHA256) as wheel:
        contents = [member_of(wheel, PACKAGE, member) for member in members]
    folder.mkdir(parents=True, exist_ok=True)
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)


def main() -> int:
    """Fetch them into the given directory; return the exit code, which is 0 where there is no network, too."""
    try:
        fetch(Path(sys.argv[1]))
    except ModelNotFoundError as err:
        print(f"No conversation of people: {err}", file=sys.stderr)
    except (ModelFileError, OSError) as err:
        print(f"The conversation of people is damaged: {err}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
