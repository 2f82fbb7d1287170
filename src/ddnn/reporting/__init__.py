"""How results are shown: tables, JSON and plots. Nothing here needs torch."""
