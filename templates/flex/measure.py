"""Entry of the flex template `measure`: Dataflow's launcher runs this file."""

from beam_curator.runners.flex import launch

launch("measure")
