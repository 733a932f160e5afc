"""Entry of the flex template `stream`: Dataflow's launcher runs this file."""

from beam_curator.runners.flex import launch

launch("stream")
