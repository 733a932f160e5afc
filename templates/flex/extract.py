"""Entry of the flex template `extract`: Dataflow's launcher runs this file."""

from beam_curator.runners.flex import launch

launch("extract")
