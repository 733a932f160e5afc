"""Entry of the flex template `windows`: Dataflow's launcher runs this file."""

from beam_curator.runners.flex import launch

launch("windows")
