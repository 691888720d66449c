"""Says how the work goes and what is wrong: on the command line, to Prometheus, on a page, in notices."""
