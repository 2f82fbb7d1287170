"""Reading and writing files that may come from strangers: all is checked as it is read, and nothing can run code.

What devices read too, JSON and its checks, is in `ddnn_runtime`.
"""
