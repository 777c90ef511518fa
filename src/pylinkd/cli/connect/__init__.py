"""``linkd connect``: a client for whoever develops a service, at a prompt and in scripts.

A line is read by lines.py. At a prompt (prompt.py) answers and events are shown as rendering.py has it, in words of
wording.py, and printed by printer.py; in a script (script.py) they are JSON lines.
"""
