"""
Hosts and an API that only answer, so that a thousand of each fit on two cores.

What they answer is derived from what fabnode's own steps want (`node.py`), in the words of the
programs that hosts run (`recording.py`). Nothing listens beyond the loopback.
"""
