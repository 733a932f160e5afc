"""Entry of the flex template `diarize`: Dataflow's launcher runs this file."""

from beam_curator.runners.flex import launch

launch("diarize")
