"""Entry of the flex template `filter`: Dataflow's launcher runs this file."""

from beam_curator.runners.flex import launch

launch("filter")
