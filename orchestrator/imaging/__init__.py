"""The frame's room: a canvas of known pixels and a mask of what is to be made, on its way to models and back."""
