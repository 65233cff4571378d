"""The screen of gator top. Its widgets import Textual, an extra."""
