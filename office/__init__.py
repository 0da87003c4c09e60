"""What the doors call: one method an act, assignment, import; puts everything together.

A door hands over a command and an envelope (who, under which id, seen at which
version). The office checks the rules, appends, and says at which position.
"""
