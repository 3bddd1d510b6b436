"""Files: one format a module, pure functions on arrays and plain values.

A reader refuses what it cannot read with a `FormatError` of one sentence, and
lets the `OSError` of a missing file pass. A writer leaves a whole file or none.
"""
