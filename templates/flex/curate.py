"""Entry of the flex template `curate`: Dataflow's launcher runs this file."""

from beam_curator.runners.flex import launch

launch("curate")
