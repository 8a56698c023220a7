"""The instruction set: instructions, their encoding and text, and what makes a program legal."""
