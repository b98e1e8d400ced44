"""What pages show of run folders, as HTML and words. No Gradio here."""
