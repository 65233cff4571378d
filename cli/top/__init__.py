"""The screen of gator top. Only `screen`, `listing` and `dialogs` import Textual, an extra."""
