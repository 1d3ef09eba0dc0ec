"""The packed store: its format, writer and reader."""
