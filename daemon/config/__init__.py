"""The settings: what there is, where each value comes from, and how it is written down."""
