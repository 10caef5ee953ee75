"""`make hostile`: everything that a stranger can do to a server, at once, beside an ordinary client.

`attack` is what is done, a process of its own; `ordinary` is the client whose view counts; `measure` puts them together
and says what was missed. See docs/security.md.
"""
