"""Ways to fetch the same messages, each a process of its own that is told what to do and reports its own seconds."""
