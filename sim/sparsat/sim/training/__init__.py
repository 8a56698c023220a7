"""Training wholly through the machine: its programs, and a host that does what they leave out."""
