"""Entry of the flex template `separate`: Dataflow's launcher runs this file."""

from beam_curator.runners.flex import launch

launch("separate")
