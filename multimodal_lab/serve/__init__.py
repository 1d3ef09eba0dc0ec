"""A page and a JSON API to try a trained run: `python -m multimodal_lab.serve run=DIR`.

Of the standard library's server. Nothing of a request is a path, nothing is unpickled, nothing is fetched.
"""
