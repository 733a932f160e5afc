"""Options, presets and the command line; nothing in the library imports them."""

if __name__ == "runners":
    raise ImportError("the folder is a link for readers: import beam_curator.runners")
