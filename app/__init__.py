"""The app: command line, background worker and pages over the run folders."""
