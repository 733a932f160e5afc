"""Live streams: messages and their order, sessions of a model, events. Pure: no Beam, no files, no clock."""
