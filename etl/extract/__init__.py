"""Stage 3: fetch one item from the API, paced for each location. The only package that talks to HighLevel."""
