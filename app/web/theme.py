"""The looks that Gradio's own parts have: calm, legible, light and dark; fonts of the system, none from the network."""


def theme():
    """A Gradio theme. What our own HTML looks like is in static/studio.css, with the same colours."""
    from gradio.themes import Base, colors, sizes

    return Base(
        primary_hue=colors.teal,
        secondary_hue=colors.teal,
        neutral_hue=colors.stone,
        text_size=sizes.text_md,
        radius_size=sizes.radius_md,
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "monospace"],
    ).set(
        body_background_fill="#faf9f7",
        body_background_fill_dark="#171615",
        body_text_color="#24211e",
        body_text_color_dark="#ece8e3",
        body_text_color_subdued="#5f5a54",
        body_text_color_subdued_dark="#b3aca4",
        block_background_fill="#ffffff",
        block_background_fill_dark="#211f1d",
        block_border_width="1px",
        block_shadow="none",
        block_label_text_color="#4a4540",
        block_label_text_color_dark="#d2cbc3",
        block_title_text_color="#24211e",
        block_title_text_color_dark="#ece8e3",
        block_info_text_color="#5f5a54",
        block_info_text_color_dark="#b3aca4",
        input_background_fill="#ffffff",
        input_background_fill_dark="#171615",
        input_border_color="#8f887f",
        input_border_color_dark="#7a736b",
        input_placeholder_color="#6b655e",
        input_placeholder_color_dark="#a59d94",
        button_primary_background_fill="#0f766e",
        button_primary_background_fill_hover="#0b5f59",
        button_primary_background_fill_dark="#2dd4bf",
        button_primary_background_fill_hover_dark="#5eead4",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#0b2b28",
        button_secondary_background_fill="#ece8e3",
        button_secondary_background_fill_hover="#ded8d1",
        button_secondary_background_fill_dark="#38342f",
        button_secondary_background_fill_hover_dark="#48433d",
        button_secondary_text_color="#24211e",
        button_secondary_text_color_dark="#ece8e3",
    )
