"""Ways to fetch the same messages, each a process of its own, which gets an assignment and reports its own seconds."""
