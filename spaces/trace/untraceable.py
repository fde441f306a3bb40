"""The error of a program that cannot be written as a graph."""


class Untraceable(Exception):
    """The program did something that a graph cannot hold; the message says what, and what to do."""


def changed_in_forward(name: str) -> Untraceable:
    """The error of a program that changes the parameter or buffer `name`."""
    return Untraceable(
        f"{name} is changed in forward, but a graph has no memory from one batch to the next: "
        "keep running statistics to norm modules, and compute new values without operations in "
        "place"
    )
