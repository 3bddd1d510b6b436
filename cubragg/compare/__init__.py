"""Images and traces held against one another: figures, programs run side by side, reports."""
