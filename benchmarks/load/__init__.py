"""What `serving.py` measures servers with: servers in processes of their own, and clients in another."""
