"""Reading and writing what may come from strangers, and what such files say of images and cascades.

Everything is checked as it is read, and nothing can run code. Nothing here needs torch, for a device has none.
"""
