"""The pages. Each module has `build(studio, page)`, called inside its `gr.Blocks`; what they show is in parts/."""
