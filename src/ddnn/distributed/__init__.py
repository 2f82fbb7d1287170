"""Several processes that train one network: what they agree on, and how weights and norms are spread over them."""
