"""The error of a program that cannot be written as a graph."""


class Untraceable(Exception):
    """The program did something that a graph cannot hold; the message says what, and what to do."""
