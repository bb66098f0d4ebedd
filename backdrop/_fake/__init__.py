"""The inside of `backdrop.testing.FakeBackdrop`: real validation and compositing around painted scenes."""
