"""The accelerator: its number formats, its blocks in Amaranth, and the tools that build them."""
