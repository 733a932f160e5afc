"""Entry of the flex template `export`: Dataflow's launcher runs this file."""

from beam_curator.runners.flex import launch

launch("export")
