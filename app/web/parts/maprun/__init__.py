"""What is shown of a run of maps in the place of a subject's: its film strip and its scores."""
