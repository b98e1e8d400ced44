"""The parts of a run's page, and the comparison that puts several runs' parts side by side. No Gradio here."""
